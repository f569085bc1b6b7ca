import DeviceKit

extension Topology.IOMMU {
  /// Reads the options of the IOMMU.
  init(_ value: YAMLValue) throws(TopologyError) {
    self.init()
    let fields = try value.fields(IOMMUField.self)
    if let value = fields[.groupMultiFunction] {
      groupsMultiFunction = try value.value("true or false", Bool.init)
    }
    if let value = fields[.merge] {
      merge = try value.choice("a merge policy", of: Topology.MergePolicy.self)
    }
    windows = try fields[.iova].map { (value) throws(TopologyError) in
      let ranges = try Self.ranges(value)
      if ranges.isEmpty { throw value.error("no address can be mapped") }
      return ranges
    }
    reserved = try fields[.reserved].map(Self.ranges)
    pageSizes = try fields[.pageSizes].map { (value) throws(TopologyError) in
      var sizes: UInt64 = 0
      for item in try value.items("a page size") {
        sizes |= try item.value("a page size", Self.pageSize)
      }
      if sizes == 0 { throw value.error("there is no page size") }
      return sizes
    }
    if let value = fields[.mappings] {
      mappingLimit = try value.value("a number of mappings") { text in
        groupNumber(text).flatMap { $0 > 0 ? Int($0) : nil }
      }
    }
    if let value = fields[.dirty] {
      enum Tracking: String, CaseIterable { case exact, all }
      reportsAllDirty = try value.choice("a kind of dirty tracking", of: Tracking.self) == .all
    }
  }

  private static func ranges(_ value: YAMLValue) throws(TopologyError) -> [ClosedRange<IOVA>] {
    var ranges: [ClosedRange<IOVA>] = []
    for item in try value.items("a range in hexadecimal, such as 0x0-0xfedfffff") {
      ranges.append(try item.value("a range of whole pages", range))
    }
    return ranges
  }

  /// Reads `0xfee00000-0xfeefffff`.
  private static func range(_ text: String) -> ClosedRange<IOVA>? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { end -> UInt64? in
      guard end.hasPrefix("0x"), end.dropFirst(2).allSatisfy(\.isHexDigit) else { return nil }
      return UInt64(end.dropFirst(2), radix: 16)
    }
    guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last,
      first % 4096 == 0, last % 4096 == 4095
    else { return nil }
    return IOVA(first)...IOVA(last)
  }

  /// Reads `4K`, `2M`, `1G`.
  private static func pageSize(_ text: String) -> UInt64? {
    let shifts: [Character: UInt64] = ["K": 10, "M": 20, "G": 30]
    guard let unit = text.last, let shift = shifts[unit],
      let count = groupNumber(String(text.dropLast()))
    else { return nil }
    let size = UInt64(count) << shift
    return size >= 4096 && size.nonzeroBitCount == 1 ? size : nil
  }
}
