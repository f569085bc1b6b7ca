extension Topology {
  /// The machine's one platform bus: devices that no bus enumerates.
  public struct PlatformBus: Hashable, Sendable {
    /// Whether its IOMMU keeps DMA coherent with the processors' caches.
    public var isCacheCoherent: Bool
    public var devices: [PlatformDevice]

    public init(isCacheCoherent: Bool = true, devices: [PlatformDevice] = []) {
      self.isCacheCoherent = isCacheCoherent
      self.devices = devices
    }
  }

  /// A device on the platform bus that clients can use.
  public struct PlatformDevice: Hashable, Sendable {
    /// Unique on the bus, as the kernel makes it of a unit address and a node's name: `1c010000.dma`.
    public var name: String
    /// The name of the `PlatformDeviceKind` that stands behind it.
    public var model: String
    /// The group's number, nil to have it computed; numbers of the PCI bus's groups are others.
    public var group: UInt32?
    public var driver: Driver

    public init(name: String, model: String, group: UInt32? = nil, driver: Driver = .vfio) {
      self.name = name
      self.model = model
      self.group = group
      self.driver = driver
    }
  }

  /// A platform device with its group settled.
  public struct ResolvedPlatformDevice: Hashable, Sendable {
    public var name: String
    public var model: String
    public var group: UInt32
    public var driver: Driver
  }

  /// The platform devices in the order of their names, each with its group.
  ///
  /// The IOMMU sees each under a stream of its own, so that one without `group` has a group of its own: from 0
  /// in this order, past the numbers that some device names itself.
  ///
  /// - Parameter taken: numbers of groups that are there besides; a device joins one only by naming it.
  public func resolvedPlatformDevices(
    besides taken: Set<UInt32> = []
  ) -> [ResolvedPlatformDevice] {
    let taken = taken.union(platform.devices.compactMap(\.group))
    var next: UInt32 = 0
    return platform.devices.sorted { $0.name < $1.name }.map { device in
      var group = device.group
      if group == nil {
        while taken.contains(next) { next += 1 }
        group = next
        next += 1
      }
      return ResolvedPlatformDevice(
        name: device.name, model: device.model, group: group ?? next, driver: device.driver)
    }
  }
}
