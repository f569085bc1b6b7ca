import DeviceKit

/// The mappings of a domain, in order and without overlap.
///
/// A sorted array: look-ups by binary search, changes move the entries behind them.
struct MappingTable {
  private(set) var mappings: [Mapping] = []

  func overlaps(_ range: ClosedRange<IOVA>) -> Bool {
    let index = firstIndex(endingAtOrAfter: range.lowerBound)
    return index < mappings.count && mappings[index].range.lowerBound <= range.upperBound
  }

  /// Adds `mapping`, which overlaps none.
  ///
  /// - Parameter coalesces: joins it with the neighbours that it continues.
  mutating func insert(_ mapping: Mapping, coalesces: Bool) {
    var merged = mapping
    let index = firstIndex(endingAtOrAfter: mapping.range.lowerBound)
    var replaced = index..<index
    guard coalesces else {
      mappings.insert(mapping, at: index)
      return
    }
    if index > 0, mappings[index - 1].continues(into: merged) {
      let before = mappings[index - 1]
      merged.range = before.range.lowerBound...merged.range.upperBound
      merged.vaddr = before.vaddr
      replaced = (index - 1)..<index
    }
    if index < mappings.count, merged.continues(into: mappings[index]) {
      merged.range = merged.range.lowerBound...mappings[index].range.upperBound
      replaced = replaced.lowerBound..<(index + 1)
    }
    mappings.replaceSubrange(replaced, with: CollectionOfOne(merged))
  }

  /// Takes out everything inside `range`, cutting the mappings that reach beyond it.
  ///
  /// - Returns: the pieces taken out, in order.
  mutating func remove(_ range: ClosedRange<IOVA>) -> [Mapping] {
    let affected = indices(overlapping: range)
    guard let first = affected.first, let last = affected.last else { return [] }
    var kept: [Mapping] = []
    let head = mappings[first]
    if head.range.lowerBound < range.lowerBound {
      let end = IOVA(range.lowerBound.rawValue - 1)
      kept += head.clamped(to: head.range.lowerBound...end).map { [$0] } ?? []
    }
    let tail = mappings[last]
    if tail.range.upperBound > range.upperBound {
      let start = IOVA(range.upperBound.rawValue + 1)
      kept += tail.clamped(to: start...tail.range.upperBound).map { [$0] } ?? []
    }
    let removed = mappings[affected].compactMap { $0.clamped(to: range) }
    mappings.replaceSubrange(affected, with: kept)
    return removed
  }

  /// Takes out, whole, the mappings that begin in `range`; none where the first in it begins before.
  mutating func removeWhole(in range: ClosedRange<IOVA>) -> [Mapping] {
    let removed = whole(in: range)
    if !removed.isEmpty {
      mappings.removeSubrange(indices(overlapping: range))
    }
    return removed
  }

  /// What `removeWhole` takes out.
  func whole(in range: ClosedRange<IOVA>) -> [Mapping] {
    let found = mappings(overlapping: range)
    guard let first = found.first, first.range.lowerBound >= range.lowerBound else { return [] }
    return found
  }

  func firstMapping(overlapping range: ClosedRange<IOVA>) -> Mapping? {
    let index = firstIndex(endingAtOrAfter: range.lowerBound)
    guard index < mappings.count, mappings[index].range.lowerBound <= range.upperBound else {
      return nil
    }
    return mappings[index]
  }

  /// The mappings that `range` touches, whole, in order.
  func mappings(overlapping range: ClosedRange<IOVA>) -> [Mapping] {
    Array(mappings[indices(overlapping: range)])
  }

  /// Whether `range` begins or ends inside a mapping.
  func isCut(by range: ClosedRange<IOVA>) -> Bool {
    let first = IOVA(range.lowerBound.rawValue)
    let last = IOVA(range.upperBound.rawValue)
    if let head = firstMapping(overlapping: first...first), head.range.lowerBound != first {
      return true
    }
    if let tail = firstMapping(overlapping: last...last), tail.range.upperBound != last {
      return true
    }
    return false
  }

  /// The pieces of mappings inside `range`, in order.
  func pieces(in range: ClosedRange<IOVA>) -> [Mapping] {
    mappings[indices(overlapping: range)].compactMap { $0.clamped(to: range) }
  }

  private func indices(overlapping range: ClosedRange<IOVA>) -> Range<Int> {
    let first = firstIndex(endingAtOrAfter: range.lowerBound)
    var end = first
    while end < mappings.count, mappings[end].range.lowerBound <= range.upperBound {
      end += 1
    }
    return first..<end
  }

  private func firstIndex(endingAtOrAfter iova: IOVA) -> Int {
    var low = 0
    var high = mappings.count
    while low < high {
      let middle = low + (high - low) / 2
      if mappings[middle].range.upperBound < iova {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
