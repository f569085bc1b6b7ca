import Synchronization
import Testing

@testable import Threads

@Suite struct LanesTests {
  @Test func aFullLaneKeepsNobodyElse() {
    let lanes = Lanes<Int>(WorkPool(limit: 8), width: 2)
    let (started, release, done) = (Semaphore(), Semaphore(), Semaphore())
    let counts = Mutex((running: 0, most: 0))
    for _ in 0..<6 {
      lanes.run(1) {
        counts.withLock {
          $0.running += 1
          $0.most = max($0.most, $0.running)
        }
        started.signal()
        _ = release.wait(milliseconds: 60_000)
        counts.withLock { $0.running -= 1 }
        done.signal()
      }
    }
    lanes.run(2) { done.signal() }
    #expect(done.wait(milliseconds: 10_000))
    for _ in 0..<2 { #expect(started.wait(milliseconds: 10_000)) }
    for _ in 0..<6 { release.signal() }
    for _ in 0..<6 { #expect(done.wait(milliseconds: 10_000)) }
    let most = counts.withLock { $0.most }
    #expect(most == 2)
  }

  @Test func aLaneIsUsedAgain() {
    let lanes = Lanes<Int>(WorkPool(), width: 1)
    let done = Semaphore()
    for _ in 0..<100 {
      lanes.run(1) { done.signal() }
      #expect(done.wait(milliseconds: 10_000))
    }
  }
}
