public import DeviceKit

/// A device of a topology with everything settled that the topology left to be computed.
public struct ResolvedDevice: Hashable, Sendable {
  public var address: PCIAddress
  /// The name of the `PCIFunctionKind` that stands behind it.
  public var model: String
  public var group: UInt32
  /// Whether an IOMMU stands between it and memory.
  public var hasIOMMU = true
  public var driver: Topology.Driver
  public var rootBus: PCIBusAddress
  /// Whether the IOMMU of its root bus keeps its DMA coherent with the processors' caches. A group of
  /// devices that differ counts as not coherent.
  public var isCacheCoherent: Bool
  /// The bridges between the root bus and the device, from the root.
  public var bridges: [PCIAddress]
  /// What the model is told.
  public var parameters = DeviceParameters()
  /// How it is reset, nil for the model's own way.
  public var reset: PCIFunctionDescription.Reset?
  /// The image of its expansion ROM, nil for the model's own.
  public var rom: [UInt8]?

  public init(
    address: PCIAddress, model: String, group: UInt32, driver: Topology.Driver,
    rootBus: PCIBusAddress, isCacheCoherent: Bool = true, bridges: [PCIAddress]
  ) {
    self.address = address
    self.model = model
    self.group = group
    self.driver = driver
    self.rootBus = rootBus
    self.isCacheCoherent = isCacheCoherent
    self.bridges = bridges
  }

  /// The device's place below `/sys/devices`: `pci0000:00/0000:00:1e.0/0000:06:0d.0`.
  public var sysfsPath: String {
    (["pci\(rootBus)"] + (bridges + [address]).map(\.description)).joined(separator: "/")
  }
}
