import DeviceKit
import Synchronization

/// Who can interrupt whom: the peers of each shared memory, by their position.
final class IvshmemDoorbells: Sendable {
  /// The port belongs to the bus, which outlives no machine.
  private struct Peer: Sendable {
    weak var port: (any PCIFunctionPort)?
  }

  private let peers = Mutex<[String: [UInt16: Peer]]>([:])

  /// Gives a device the lowest free position, nil when there is none. A device that shares with nobody is
  /// alone, at 0.
  func join(_ shared: String?, _ port: any PCIFunctionPort) -> UInt16? {
    guard let shared else { return 0 }
    return peers.withLock { peers in
      let taken = peers[shared] ?? [:]
      guard let position = (0...UInt16.max).first(where: { taken[$0] == nil }) else { return nil }
      peers[shared, default: [:]][position] = Peer(port: port)
      return position
    }
  }

  func leave(_ shared: String?, _ position: UInt16) {
    guard let shared else { return }
    peers.withLock { peers in
      peers[shared]?[position] = nil
      if peers[shared]?.isEmpty == true { peers[shared] = nil }
    }
  }

  /// Interrupts a peer; one that is not there or has not as many vectors hears nothing.
  func ring(_ shared: String?, peer: UInt16, vector: Int) {
    guard let shared else { return }
    let port = peers.withLock { $0[shared]?[peer]?.port }
    port?.sendMSI(vector: vector)
  }
}
