import Dispatch
import Glibc
import Synchronization
import Testing

/// Random sequences of what users and bus drivers do, some of it in the middle of a call, against the document's
/// rules.
///
/// `VFIO_MODEL_SEED=N` replays one sequence and prints it, `VFIO_MODEL_SEQUENCES=N` runs more than usual.
struct RandomModelTests {
  private static let steps = 60

  @Test func agreesWithTheDocument() throws {
    if let seed = Self.setting("VFIO_MODEL_SEED") {
      let world = Self.run(UInt64(seed), isTraced: true)
      print(world.trace.joined(separator: "\n"))
      #expect(world.divergence == nil)
      return
    }
    let usual = 2000
    let sequences = Self.setting("VFIO_MODEL_SEQUENCES") ?? usual
    let totals = Mutex<[ModelWorld.Outcome: Int]>([:])
    let failures = Mutex<[(seed: Int, what: String)]>([])
    DispatchQueue.concurrentPerform(iterations: sequences) { seed in
      let world = Self.run(UInt64(seed))
      totals.withLock { $0.merge(world.counts, uniquingKeysWith: +) }
      if let what = world.divergence { failures.withLock { $0.append((seed, what)) } }
    }
    let failed = failures.withLock { $0.sorted { $0.seed < $1.seed } }
    for (seed, what) in failed.prefix(5) {
      Issue.record("seed \(seed): \(what); VFIO_MODEL_SEED=\(seed) replays it")
    }
    let counts = Dictionary(
      uniqueKeysWithValues: totals.withLock { $0 }.map { ("\($0.key)", $0.value) })
    let table = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    print("\(sequences) sequences of \(Self.steps) steps\n" + table.joined(separator: "\n"))
    // Each of the cases that rules are about was there often.
    guard sequences >= usual else { return }
    for (outcome, count) in Self.mustBeSeen {
      #expect(counts[outcome, default: 0] >= count, "\(outcome)")
    }
  }

  private static func run(_ seed: UInt64, isTraced: Bool = false) -> ModelWorld {
    let world = ModelWorld(seed: seed, isTraced: isTraced)
    for _ in 0..<steps { world.step() }
    world.end()
    return world
  }

  private static func setting(_ name: String) -> Int? {
    // SAFETY: what getenv gives ends with a NUL, and tests do not change the environment.
    getenv(name).flatMap { Int(String(cString: $0)) }
  }

  private static let mustBeSeen: [(outcome: String, count: Int)] = [
    ("add to a used group: done", 40), ("tainted: done", 40), ("unbind waits: done", 400),
    ("device: done", 2000), ("device: Device or resource busy", 300),
    ("device: Input/output error", 300), ("device: No such device", 1000),
    ("device: Operation not permitted", 700), ("iommu: Device or resource busy", 200),
    ("iommu: Operation not permitted", 500), ("merge: done", 60),
    ("merge into a used set: done", 60), ("merge: Device or resource busy", 60),
    ("merge: Operation not permitted", 5), ("merge: Invalid argument", 500),
    ("merge into a used set: Operation not permitted", 300),
    ("unmerge: done", 20), ("unmerge from a used set: done", 30),
    ("unmerge from a used set: Device or resource busy", 30),
    ("unmerge from a used set: Operation not permitted", 100),
    ("map: done", 1000), ("map: Device or resource busy", 300), ("unmap: done", 400),
    ("device reads a mapping: done", 1500), ("host: Device or resource busy", 500),
    ("host: done", 200), ("cancel unbind: done", 100), ("die: done", 400),
    ("meanwhile device: done", 100), ("meanwhile unbind: done", 80),
    ("meanwhile close: done", 300), ("meanwhile merge into a used set: done", 2),
    ("meanwhile iommu: done", 150),
  ]
}
