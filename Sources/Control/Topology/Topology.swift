public import DeviceKit

/// The machine that clients see: its buses, the bridges between them and the devices on them.
///
/// A value without behaviour: `resolvedDevices()` says what follows from it.
public struct Topology: Hashable, Sendable {
  public var iommu: IOMMU
  /// What was loaded when the topology was read.
  public var plugins: [Plugin]
  /// The root buses, those that no bridge leads to.
  public var buses: [RootBus]
  public var platform: PlatformBus

  public init(
    iommu: IOMMU = IOMMU(), plugins: [Plugin] = [], buses: [RootBus],
    platform: PlatformBus = PlatformBus()
  ) {
    self.iommu = iommu
    self.plugins = plugins
    self.buses = buses
    self.platform = platform
  }

  /// What the IOMMU is told at boot.
  public struct IOMMU: Hashable, Sendable {
    /// Whether the functions of one multi-function device share a group: the kernel's
    /// `iommu=group_mf`.
    public var groupsMultiFunction: Bool
    /// I/O virtual addresses that can be mapped, nil for those of the ABI that a client speaks.
    public var windows: [ClosedRange<IOVA>]?
    /// Addresses in them that cannot, nil for the ABI's.
    public var reserved: [ClosedRange<IOVA>]?
    /// One bit a page size in bytes, nil for the ABI's.
    public var pageSizes: UInt64?
    /// How many mappings there may be, nil for the ABI's.
    public var mappingLimit: Int?
    /// Whether dirty bitmaps report every mapped page.
    public var reportsAllDirty = false
    public var merge: MergePolicy

    public init(groupsMultiFunction: Bool = false, merge: MergePolicy = .similar) {
      self.groupsMultiFunction = groupsMultiFunction
      self.merge = merge
    }
  }

  /// Which groups clients can merge.
  public enum MergePolicy: String, Hashable, Sendable, CaseIterable {
    case never
    /// Those that are alike in cache coherency.
    case similar
    case any
  }

  /// A PCI bus at the top of its hierarchy.
  public struct RootBus: Hashable, Sendable {
    public var address: PCIBusAddress
    /// Whether its IOMMU keeps DMA coherent with the processors' caches.
    public var isCacheCoherent: Bool
    public var slots: [Slot]

    public init(address: PCIBusAddress, isCacheCoherent: Bool = true, slots: [Slot] = []) {
      self.address = address
      self.isCacheCoherent = isCacheCoherent
      self.slots = slots
    }
  }

  /// What sits at one address of a bus.
  public enum Slot: Hashable, Sendable {
    case bridge(Bridge)
    case device(Device)
  }

  /// A PCI function that clients can use.
  public struct Device: Hashable, Sendable {
    public var address: PCIAddress
    /// The name of the `PCIFunctionKind` that stands behind it.
    public var model: String
    /// The group's number, nil to have it computed.
    public var group: UInt32?
    /// Whether an IOMMU stands between it and memory. Without one its group is its own.
    public var hasIOMMU = true
    public var driver: Driver
    /// What the model is told.
    public var parameters = DeviceParameters()
    /// How it is reset, nil for the model's own way.
    public var reset: PCIFunctionDescription.Reset?
    /// The image of its expansion ROM, nil for the model's own.
    public var rom: [UInt8]?

    public init(address: PCIAddress, model: String, group: UInt32? = nil, driver: Driver = .vfio) {
      self.address = address
      self.model = model
      self.group = group
      self.driver = driver
    }
  }

  /// The driver that a device is bound to when the daemon starts.
  public enum Driver: Hashable, Sendable {
    /// The vfio bus driver.
    case vfio
    /// A native driver, by its name. It keeps the device's group from being viable.
    case host(String)
    case none
  }
}
