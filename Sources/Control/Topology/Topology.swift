public import DeviceKit

/// The machine that clients see: its buses, the bridges between them and the devices on them.
///
/// A value without behaviour: `resolvedDevices()` says what follows from it.
public struct Topology: Hashable, Sendable {
  public var iommu: IOMMU
  /// The root buses, those that no bridge leads to.
  public var buses: [RootBus]

  public init(iommu: IOMMU = IOMMU(), buses: [RootBus]) {
    self.iommu = iommu
    self.buses = buses
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

    public init(groupsMultiFunction: Bool = false) {
      self.groupsMultiFunction = groupsMultiFunction
    }
  }

  /// A PCI bus at the top of its hierarchy.
  public struct RootBus: Hashable, Sendable {
    public var address: PCIBusAddress
    public var slots: [Slot]

    public init(address: PCIBusAddress, slots: [Slot] = []) {
      self.address = address
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
    public var driver: Driver

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
