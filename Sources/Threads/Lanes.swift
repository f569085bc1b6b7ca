import DequeModule
import Synchronization

/// Work in lanes, of each of which only so much runs at once: nobody can take all threads of a pool.
public final class Lanes<Key: Hashable & Sendable>: Sendable {
  private struct Lane {
    var running = 0
    var waiting: Deque<@Sendable () -> Void> = []
  }

  private let pool: WorkPool
  private let width: Int
  private let lanes = Mutex<[Key: Lane]>([:])

  /// - Parameter width: how much of one lane may run at once.
  public init(_ pool: WorkPool, width: Int) {
    self.pool = pool
    self.width = width
  }

  /// Runs `work` on a thread of the pool, after what came before it where its lane is full.
  public func run(_ key: Key, _ work: @escaping @Sendable () -> Void) {
    let starts = lanes.withLock { lanes in
      if lanes[key, default: Lane()].running == width {
        lanes[key]?.waiting.append(work)
        return false
      }
      lanes[key, default: Lane()].running += 1
      return true
    }
    if starts { pool.run { self.serve(key, work) } }
  }

  private func serve(_ key: Key, _ first: @Sendable () -> Void) {
    first()
    while let next = next(key) { next() }
  }

  /// The lane's next work, nil with the lane one narrower.
  private func next(_ key: Key) -> (@Sendable () -> Void)? {
    lanes.withLock { lanes in
      if let work = lanes[key]?.waiting.popFirst() { return work }
      lanes[key]?.running -= 1
      if lanes[key]?.running == 0 { lanes[key] = nil }
      return nil
    }
  }
}
