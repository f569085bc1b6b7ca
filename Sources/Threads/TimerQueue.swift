import HeapModule
import Synchronization

/// Work for later, in the order of its time; one thread hands it on.
final class TimerQueue: Sendable {
  private struct Entry: Comparable {
    var deadline: ContinuousClock.Instant
    /// Of two for the same time, the one that was added first is the first to fire.
    var number: UInt64
    var fire: @Sendable () -> Void

    static func == (a: Self, b: Self) -> Bool {
      a.number == b.number
    }

    static func < (a: Self, b: Self) -> Bool {
      (a.deadline, a.number) < (b.deadline, b.number)
    }
  }

  private struct State {
    var entries = Heap<Entry>()
    var added: UInt64 = 0
    var isRunning = false
  }

  private let state = Mutex(State())
  private let changed = Semaphore()

  /// Calls `fire`, which must not wait, at `deadline` or soon after.
  func add(_ deadline: ContinuousClock.Instant, _ fire: @escaping @Sendable () -> Void) {
    let mustStart = state.withLock { state in
      state.added += 1
      state.entries.insert(Entry(deadline: deadline, number: state.added, fire: fire))
      defer { state.isRunning = true }
      return !state.isRunning
    }
    changed.signal()
    if mustStart, (try? Thread.start(name: "timers") { self.run() }) == nil {
      state.withLock { $0.isRunning = false }
    }
  }

  private func run() {
    while true {
      let now = ContinuousClock.now
      let (due, next) = state.withLock { state -> ([Entry], ContinuousClock.Instant?) in
        var due: [Entry] = []
        while let first = state.entries.min, first.deadline <= now {
          due.append(state.entries.removeMin())
        }
        return (due, state.entries.min?.deadline)
      }
      for entry in due { entry.fire() }
      if !due.isEmpty { continue }
      let wait = next.map { $0 - now } ?? .seconds(3600)
      _ = changed.wait(milliseconds: Int((wait / .milliseconds(1)).rounded(.up)))
    }
  }
}
