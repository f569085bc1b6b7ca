import VFIOABI

/// What today's API has names for.
extension PCIFunction {
  /// Whether it is a function of PCI Express.
  var isExpress: Bool { kind.description.isExpress }

  /// Whether a client can map the region.
  func canMap(_ region: PCIRegion, _ client: any Client) -> Bool {
    client.canMap && !mappableAreas(of: region, sparesMSIX: false).isEmpty
      || client.canMapRegisters && mappableRegisters(of: region) != nil
  }
}
