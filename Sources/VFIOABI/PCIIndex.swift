/// The regions of a PCI device, the same in the draft ABI and in today's.
public enum PCIRegion: UInt32, Sendable, CaseIterable {
  case bar0 = 0
  case bar1, bar2, bar3, bar4, bar5
  case rom
  case config

  /// The number of the BAR, nil for what is none.
  public var bar: Int? { self < .rom ? Int(rawValue) : nil }

  /// Where the region starts on a device descriptor.
  public var fileOffset: UInt64 { RegionOffset(index: rawValue).fileOffset }
}

extension PCIRegion: Comparable {
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The interrupts of a PCI device that carry what it has to say, the same in the draft ABI and in today's.
public enum PCIInterrupt: UInt32, Sendable, CaseIterable {
  case intx = 0
  case msi
  case msix
}
