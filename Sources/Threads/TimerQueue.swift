import Synchronization

/// Work for later, in the order of its time; one thread hands it on.
final class TimerQueue: Sendable {
  private struct Entry {
    var deadline: ContinuousClock.Instant
    var fire: @Sendable () -> Void
  }

  private struct State {
    /// Latest first: the next to fire is the last.
    var entries: [Entry] = []
    var isRunning = false
  }

  private let state = Mutex(State())
  private let changed = Semaphore()

  /// Calls `fire`, which must not wait, at `deadline` or soon after.
  func add(_ deadline: ContinuousClock.Instant, _ fire: @escaping @Sendable () -> Void) {
    let mustStart = state.withLock { state in
      let index = state.entries.firstIndex { $0.deadline <= deadline } ?? state.entries.endIndex
      state.entries.insert(Entry(deadline: deadline, fire: fire), at: index)
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
        while let last = state.entries.last, last.deadline <= now {
          due.append(state.entries.removeLast())
        }
        return (due, state.entries.last?.deadline)
      }
      for entry in due { entry.fire() }
      if !due.isEmpty { continue }
      let wait = next.map { $0 - now } ?? .seconds(3600)
      _ = changed.wait(milliseconds: Int((wait / .milliseconds(1)).rounded(.up)))
    }
  }
}
