import ClientAccess
import FUSESessions
import Glibc
import Synchronization
import VFIOCore

/// The nodes of the groups there are, and their numbers.
final class GroupNodes: Sendable {
  private struct State {
    var major: UInt32 = 0
    var byNumber: [FileIdentity.DeviceNumber: GroupNode] = [:]
    var numbers: [GroupNode.Kind: FileIdentity.DeviceNumber] = [:]
    /// No minor number below is free.
    var lowestMinor: UInt32 = 0
  }

  private let state = Mutex(State())

  /// Takes a major number.
  func start() throws(TransportError) {
    let major = try DeviceNumbers.freeMajor()
    state.withLock { $0.major = major }
  }

  func node(_ number: FileIdentity.DeviceNumber) -> GroupNode? {
    state.withLock { $0.byNumber[number] }
  }

  /// All nodes, today's container among them.
  var count: Int { state.withLock { $0.byNumber.count } }

  func device(of kind: GroupNode.Kind) -> FileIdentity.DeviceNumber? {
    state.withLock { $0.numbers[kind] }
  }

  /// Makes a node with a number of its own.
  ///
  /// - Throws: where something else has the node's name.
  func add(
    _ kind: GroupNode.Kind, transport: CUSETransport
  ) throws(TransportError) -> GroupNode {
    let node = state.withLock { state in
      var number = FileIdentity.DeviceNumber(major: state.major, minor: state.lowestMinor)
      while state.byNumber[number] != nil { number.minor += 1 }
      let node = GroupNode(kind, device: number, transport: transport)
      state.lowestMinor = number.minor + 1
      state.byNumber[number] = node
      state.numbers[kind] = number
      return node
    }
    // The node of before goes when the last call on it has returned.
    for _ in 0..<500 {
      if !isOurs(node.path) { break }
      usleep(10_000)
    }
    if (try? FileIdentity(path: node.path)) != nil {
      _ = remove(kind)
      throw TransportError(
        .cannotCreate,
        "\(node.path) is there already; stop whatever made it, give the group another number in the "
          + "topology, or our nodes another directory by --dev-prefix")
    }
    return node
  }

  private func isOurs(_ path: String) -> Bool {
    let major = state.withLock { $0.major }
    return (try? FileIdentity(path: path))?.characterDevice?.major == major
  }

  /// - Returns: the session to end, where the node had got as far.
  func remove(_ kind: GroupNode.Kind) -> FUSESession? {
    state.withLock { state in
      let number = state.numbers.removeValue(forKey: kind)
      if let number { state.lowestMinor = min(state.lowestMinor, number.minor) }
      return number.flatMap { state.byNumber.removeValue(forKey: $0) }?.session
    }
  }
}
