public import ClientAccess
import Synchronization

/// An eventfd in memory.
public final class EventDouble: EventSignal {
  private struct State {
    var count = 0
    var nextWatch = 0
    var watches: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  /// Takes the count, as a client's read does.
  public func take() -> Int {
    state.withLock { state in
      defer { state.count = 0 }
      return state.count
    }
  }

  /// How many watches run.
  public var watchCount: Int { state.withLock { $0.watches.count } }

  public func signal() {
    state.withLock { $0.count += 1 }
  }

  /// What a client's write of 1 does.
  public func clientSignals() {
    for handler in state.withLock({ Array($0.watches.values) }) { handler() }
  }

  public func watch(_ handler: @escaping @Sendable () -> Void) -> any EventWatch {
    let id = state.withLock { state in
      state.nextWatch += 1
      state.watches[state.nextWatch] = handler
      return state.nextWatch
    }
    return Watch(event: self, id: id)
  }

  private final class Watch: EventWatch {
    let event: EventDouble
    let id: Int

    init(event: EventDouble, id: Int) {
      self.event = event
      self.id = id
    }

    func cancel() {
      event.state.withLock { $0.watches[id] = nil }
    }

    deinit {
      cancel()
    }
  }
}
