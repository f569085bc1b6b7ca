public import DeviceKit
import Synchronization

/// A scheduler whose clock the test moves, and whose work runs on the test's thread.
public final class ManualScheduler: Scheduler {
  private struct State {
    var now = Duration.zero
    var scheduled = 0
    var work: [(due: Duration, number: Int, run: @Sendable () -> Void)] = []
  }

  private let state = Mutex(State())

  public init() {}

  public var pending: Int { state.withLock { $0.work.count } }

  public func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.scheduled += 1
      state.work.append((state.now + delay, state.scheduled, work))
    }
  }

  /// Moves the clock and runs what is due, in order.
  public func advance(by time: Duration) {
    let end = state.withLock { $0.now + time }
    while true {
      let next = state.withLock { state -> (@Sendable () -> Void)? in
        let due = state.work.indices.filter { state.work[$0].due <= end }
        let first = due.min {
          (state.work[$0].due, state.work[$0].number) < (state.work[$1].due, state.work[$1].number)
        }
        guard let first else {
          state.now = end
          return nil
        }
        let item = state.work.remove(at: first)
        state.now = item.due
        return item.run
      }
      guard let next else { return }
      next()
    }
  }
}
