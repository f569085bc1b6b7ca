import ClientAccess
import Synchronization

/// What a client of today's API asked to be told of a function, besides its interrupts, and asked it to do
/// when told. It lasts until the function's last descriptor is closed.
final class PCIClientEvents: Sendable {
  /// `VFIO_PCI_ERR_IRQ_INDEX` and `VFIO_PCI_REQ_IRQ_INDEX`.
  enum Kind: Sendable {
    case error
    case request
  }

  /// A write that an eventfd makes.
  struct IOEventFD: Hashable {
    var bar: Int
    var offset: UInt64
    var data: UInt64
    /// Bytes.
    var width: Int
  }

  enum Power {
    case full
    /// The client let the function sleep; accesses wake it for their own length.
    case low
    /// The same, but the first access ends it, which the client wants to be told of.
    case lowUntilAccess((any EventSignal)?)
  }

  struct State {
    var error: (any EventSignal)?
    var request: (any EventSignal)?
    var power = Power.full
    var ioeventfds: [IOEventFD: any EventWatch] = [:]

    subscript(_ kind: Kind) -> (any EventSignal)? {
      get { kind == .error ? error : request }
      set { if kind == .error { error = newValue } else { request = newValue } }
    }
  }

  /// How many `IOEventFD`s a function can have (`VFIO_PCI_IOEVENTFD_MAX`).
  static let ioeventfdLimit = 1000

  private let state = Mutex(State())

  func update<Result: Sendable, Failure: Error>(
    _ change: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try state.withLock { state throws(Failure) in try change(&state) }
  }

  /// Tells the client, where it wants to know.
  func signal(_ kind: Kind) {
    state.withLock { $0[kind] }?.signal()
  }

  /// A client reaches for the function: what sleeps until then wakes.
  func access() {
    let waiting = state.withLock { state -> (any EventSignal)? in
      guard case .lowUntilAccess(let signal) = state.power else { return nil }
      state.power = .full
      return signal
    }
    waiting?.signal()
  }

  /// The last descriptor is closed.
  func clear() {
    let ended = state.withLock { state in
      defer { state = State() }
      return Array(state.ioeventfds.values)
    }
    for watch in ended { watch.cancel() }
  }
}
