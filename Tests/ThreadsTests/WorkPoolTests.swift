import Synchronization
import Testing

@testable import Threads

@Suite struct WorkPoolTests {
  @Test func everythingRuns() {
    let pool = WorkPool()
    let done = Semaphore()
    for _ in 0..<1000 { pool.run { done.signal() } }
    for _ in 0..<1000 { #expect(done.wait(milliseconds: 10_000)) }
  }

  @Test func workThatWaitsKeepsNobodyElse() {
    let pool = WorkPool(limit: 64)
    let release = Semaphore()
    let done = Semaphore()
    for _ in 0..<32 {
      pool.run {
        _ = release.wait(milliseconds: 60_000)
        done.signal()
      }
    }
    pool.run { done.signal() }
    #expect(done.wait(milliseconds: 10_000))
    for _ in 0..<32 { release.signal() }
    for _ in 0..<32 { #expect(done.wait(milliseconds: 10_000)) }
  }

  @Test func atTheLimitWorkQueues() {
    let pool = WorkPool(limit: 2)
    let release = Semaphore()
    let done = Semaphore()
    let started = Atomic<Int>(0)
    for _ in 0..<4 {
      pool.run {
        started.add(1, ordering: .relaxed)
        _ = release.wait(milliseconds: 60_000)
        done.signal()
      }
    }
    release.signal()
    #expect(done.wait(milliseconds: 10_000))
    let running = started.load(ordering: .relaxed)
    #expect(running <= 3)
    for _ in 0..<3 { release.signal() }
    for _ in 0..<3 { #expect(done.wait(milliseconds: 10_000)) }
  }

  @Test func laterWorkComesInTheOrderOfItsTime() {
    let queue = TimerQueue()
    let order = Mutex<[Int]>([])
    let (held, release, done) = (Semaphore(), Semaphore(), Semaphore())
    let now = ContinuousClock.now
    // While its thread is held, all of them become due.
    queue.add(now) {
      held.signal()
      _ = release.wait(milliseconds: 60_000)
    }
    #expect(held.wait(milliseconds: 10_000))
    for i in [3, 1, 2] {
      queue.add(now + .milliseconds(i)) {
        order.withLock { $0.append(i) }
        done.signal()
      }
    }
    release.signal()
    for _ in 0..<3 { #expect(done.wait(milliseconds: 10_000)) }
    #expect(order.withLock { $0 } == [1, 2, 3])
  }

  @Test func laterIsNotEarlier() {
    let pool = WorkPool()
    let done = Semaphore()
    let begin = ContinuousClock.now
    pool.after(.milliseconds(50)) { done.signal() }
    #expect(done.wait(milliseconds: 10_000))
    #expect(ContinuousClock.now - begin >= .milliseconds(50))
  }

  @Test func drainWaitsForWhatRuns() {
    let pool = WorkPool()
    let finished = Atomic<Int>(0)
    for _ in 0..<8 {
      pool.run {
        _ = Semaphore().wait(milliseconds: 20)
        finished.add(1, ordering: .sequentiallyConsistent)
      }
    }
    pool.drain()
    let count = finished.load(ordering: .sequentiallyConsistent)
    #expect(count == 8)
  }
}
