import Glibc

/// `memory-benchmark iommu [N…]`: see Benchmarks/iommu/run. `memory-benchmark dma`: see Benchmarks/dma/run.
@main
enum Main {
  static func main() throws {
    switch CommandLine.arguments.dropFirst().first {
    case "iommu": try TableBenchmark.run(CommandLine.arguments.dropFirst(2).compactMap { Int($0) })
    case "dma": try CopyBenchmark.run()
    default: exit(2)
    }
  }
}

/// Nanoseconds of the least of some rounds, for each of `count` things that `body` does.
func least(_ count: Int, rounds: Int = 5, _ body: () throws -> Void) rethrows -> Double {
  var best = Double.infinity
  for _ in 0..<rounds {
    let start = nanoseconds()
    try body()
    best = min(best, Double(nanoseconds() - start) / Double(count))
  }
  return best
}

func nanoseconds() -> UInt64 {
  var t = timespec()
  clock_gettime(CLOCK_MONOTONIC, &t)
  return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
}

/// One figure a line, as the script wants it: and behind it what it is compared with.
func line(_ name: String, _ value: Double, _ reference: Double? = nil) {
  func text(_ value: Double) -> String { "\t\(Double(Int(value * 1000)) / 1000)" }
  print(name + text(value) + (reference.map { text($0) } ?? ""))
}

/// The same sequence as the reference's.
struct Xorshift {
  private var state: UInt64 = 88_172_645_463_325_252

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
