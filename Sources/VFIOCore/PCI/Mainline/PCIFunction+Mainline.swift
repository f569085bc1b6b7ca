import VFIOABI

/// What today's API has names for.
extension PCIFunction {
  var hasReset: Bool { kind.description.hasReset }

  /// Whether it is a function of PCI Express.
  var isExpress: Bool { false }

  /// Whether a client can map the region.
  func canMap(_ region: PCIRegion, _ client: any Client) -> Bool {
    client.canMap && !mappableAreas(of: region, sparesMSIX: false).isEmpty
  }
}
