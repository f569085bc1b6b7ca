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
    var numbers: [VFIOCore.GroupID: FileIdentity.DeviceNumber] = [:]
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

  func device(of group: VFIOCore.GroupID) -> FileIdentity.DeviceNumber? {
    state.withLock { $0.numbers[group] }
  }

  /// Gives the group a number, and a node to make.
  ///
  /// - Throws: where something else has the node's name.
  func add(
    _ group: VFIOCore.GroupID, transport: CUSETransport
  ) throws(TransportError) -> GroupNode {
    let node = state.withLock { state in
      var number = FileIdentity.DeviceNumber(major: state.major, minor: 0)
      while state.byNumber[number] != nil { number.minor += 1 }
      let node = GroupNode(
        group: group, name: "vfio/\(group)", device: number, transport: transport)
      state.byNumber[number] = node
      state.numbers[group] = number
      return node
    }
    // The group's node of before goes when the last call on it has returned.
    for _ in 0..<500 where isOurs(node.path) { usleep(10_000) }
    if (try? FileIdentity(path: node.path)) != nil {
      _ = remove(group)
      throw TransportError(
        .cannotCreate,
        "\(node.path) is there already; stop whatever made it, or give the group "
          + "another number in the topology")
    }
    return node
  }

  private func isOurs(_ path: String) -> Bool {
    let major = state.withLock { $0.major }
    return (try? FileIdentity(path: path))?.characterDevice?.major == major
  }

  /// - Returns: the session to end, where the node had got as far.
  func remove(_ group: VFIOCore.GroupID) -> FUSESession? {
    state.withLock { state in
      let number = state.numbers.removeValue(forKey: group)
      return number.flatMap { state.byNumber.removeValue(forKey: $0) }?.session
    }
  }
}
