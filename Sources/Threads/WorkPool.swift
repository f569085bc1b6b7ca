import DequeModule
public import DeviceKit
import Glibc
import Synchronization

/// Threads for work that may wait: device work that touches client memory, and everything that
/// outlasts a request.
///
/// It grows when all of its threads are busy, since a hostile client can make any access to its memory
/// last as long as it likes, and shrinks when they are idle.
public final class WorkPool: Scheduler {
  private typealias Work = @Sendable () -> Void

  private struct State {
    var queue: Deque<Work> = []
    var threads = 0
    var idle = 0
  }

  private let limit: Int
  private let state = Mutex(State())
  private let available = Semaphore()
  private let timers = TimerQueue()

  /// - Parameter limit: the most threads there can be at once; work beyond it queues.
  public init(limit: Int = 256) {
    self.limit = limit
  }

  /// Runs `work` on a thread of the pool.
  public func run(_ work: @escaping @Sendable () -> Void) {
    let grow = state.withLock { state in
      state.queue.append(work)
      guard state.queue.count > state.idle, state.threads < limit else { return false }
      state.threads += 1
      state.idle += 1
      return true
    }
    available.signal()
    if grow, (try? Thread.start(name: "work") { self.serve() }) == nil {
      // No thread to be had: those there are will come to it.
      state.withLock {
        $0.threads -= 1
        $0.idle -= 1
      }
    }
  }

  /// Waits until nothing is queued or running any more, for five seconds at most.
  public func drain() {
    for _ in 0..<5000 {
      if state.withLock({ $0.queue.isEmpty && $0.idle == $0.threads }) { return }
      usleep(1000)
    }
  }

  public func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    if delay <= .zero {
      run(work)
    } else {
      timers.add(ContinuousClock.now + delay) { [weak self] in self?.run(work) }
    }
  }

  private func serve() {
    while true {
      let signalled = available.wait(milliseconds: 10_000)
      let next: Work?? = state.withLock { state in
        if state.queue.isEmpty {
          if signalled { return .some(nil) }
          state.idle -= 1
          state.threads -= 1
          return nil
        }
        state.idle -= 1
        return state.queue.removeFirst()
      }
      guard let next else { return }
      guard let work = next else { continue }
      work()
      state.withLock { $0.idle += 1 }
    }
  }
}
