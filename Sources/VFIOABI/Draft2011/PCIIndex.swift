extension Draft2011 {
  /// The regions of a PCI device.
  public enum PCIRegion: UInt32, Sendable, CaseIterable {
    case bar0 = 0
    case bar1, bar2, bar3, bar4, bar5
    case rom
    case config
  }

  /// The interrupts of a PCI device.
  public enum PCIInterrupt: UInt32, Sendable, CaseIterable {
    case intx = 0
    case msi
    case msix
  }
}
