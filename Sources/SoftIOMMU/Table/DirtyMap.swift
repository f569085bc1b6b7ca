import DeviceKit

/// The pages that devices have written: a bit each, by their IOVA.
struct DirtyMap {
  private static let wordsPerChunk = 64
  private static let pagesPerChunk: UInt64 = 64 * 64

  private let pageShift: UInt64
  private var chunks: [UInt64: [UInt64]] = [:]

  init(pageShift: UInt64) {
    self.pageShift = pageShift
  }

  mutating func insert(_ range: ClosedRange<IOVA>) {
    forEachWord(of: range, makes: true) { word, mask in word |= mask }
  }

  mutating func remove(_ range: ClosedRange<IOVA>) {
    forEachWord(of: range, makes: false) { word, mask in word &= ~mask }
  }

  /// Adds what `other` has.
  mutating func formUnion(_ other: DirtyMap) {
    for (key, words) in other.chunks {
      var sum = chunks[key] ?? [UInt64](repeating: 0, count: Self.wordsPerChunk)
      for i in sum.indices { sum[i] |= words[i] }
      chunks[key] = sum
    }
  }

  /// Sets a bit of `words` for each page of `range` that is in the map; bit 0 is the first page's.
  func collect(_ range: ClosedRange<IOVA>, into words: inout [UInt64]) {
    let first = range.lowerBound.rawValue >> pageShift
    let last = range.upperBound.rawValue >> pageShift
    for key in (first / Self.pagesPerChunk)...(last / Self.pagesPerChunk) {
      guard let chunk = chunks[key] else { continue }
      for (i, word) in chunk.enumerated() where word != 0 {
        var bits = word
        while bits != 0 {
          let page = key * Self.pagesPerChunk + UInt64(i * 64 + bits.trailingZeroBitCount)
          bits &= bits - 1
          guard page >= first, page <= last else { continue }
          words[Int((page - first) / 64)] |= 1 << ((page - first) % 64)
        }
      }
    }
  }

  private mutating func forEachWord(
    of range: ClosedRange<IOVA>, makes: Bool, _ change: (inout UInt64, UInt64) -> Void
  ) {
    let first = range.lowerBound.rawValue >> pageShift
    let last = range.upperBound.rawValue >> pageShift
    let keys = (first / Self.pagesPerChunk)...(last / Self.pagesPerChunk)
    // A range to take out may be all of 64 bits.
    let present = makes ? Array(keys) : chunks.keys.filter(keys.contains)
    for key in present {
      let base = key * Self.pagesPerChunk
      let from = max(first, base) - base
      let to = min(last - base, Self.pagesPerChunk - 1)
      for i in (from / 64)...(to / 64) {
        let low = i == from / 64 ? from % 64 : 0
        let high = i == to / 64 ? to % 64 : 63
        let mask = (UInt64.max << low) & (UInt64.max >> (63 - high))
        change(
          &chunks[key, default: [UInt64](repeating: 0, count: Self.wordsPerChunk)][Int(i)], mask)
      }
      if !makes, chunks[key]?.allSatisfy({ $0 == 0 }) == true { chunks[key] = nil }
    }
  }
}
