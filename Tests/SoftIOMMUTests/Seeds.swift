import Glibc

/// The seeds of random tests.
enum Seeds {
  /// These, or the one that the environment variable `SOFTIOMMU_SEED` has.
  static func all(_ seeds: ClosedRange<UInt64>) -> [UInt64] {
    guard let text = getenv("SOFTIOMMU_SEED"), let seed = UInt64(String(cString: text)) else {
      return Array(seeds)
    }
    return [seed]
  }
}
