public import VFIOCore

/// What the emulated `/sys` needs to know beyond the PCI bus and the groups.
public struct SysfsOptions: Sendable {
  public var dialect: SysfsDialect
  /// The host's drivers by name, beyond those that functions were plugged in for.
  public var hostDrivers: [String]
  /// The number of a group's character device; nil while it has none.
  public var deviceNumber: @Sendable (GroupID) -> SysfsDeviceNumber?
  /// How many processors `local_cpus` counts.
  public var processors: Int

  public init(
    dialect: SysfsDialect = .draft2011, hostDrivers: [String] = [],
    deviceNumber: @escaping @Sendable (GroupID) -> SysfsDeviceNumber? = { _ in nil },
    processors: Int = 1
  ) {
    self.dialect = dialect
    self.hostDrivers = hostDrivers
    self.deviceNumber = deviceNumber
    self.processors = processors
  }
}

/// Which VFIO the tree belongs to; both have the same PCI bus.
public enum SysfsDialect: String, Sendable, CaseIterable {
  /// The document of 2011: the driver `vfio`, groups `pci:240` with their devices, `iommu_group` a file.
  case draft2011
  /// Linux since 3.6: the driver `vfio-pci`, groups `240`, `iommu_group` a symlink into
  /// `/sys/kernel/iommu_groups`.
  case mainline

  /// The name of the bus driver vfio-pci.
  var vfioDriver: String {
    switch self {
    case .draft2011: "vfio"
    case .mainline: "vfio-pci"
    }
  }

  /// The name of the bus driver vfio-platform; the document names its drivers the same on every bus.
  var vfioPlatformDriver: String {
    switch self {
    case .draft2011: "vfio"
    case .mainline: "vfio-platform"
    }
  }
}

/// The number of a character device.
public struct SysfsDeviceNumber: Hashable, Sendable {
  public var major: UInt32
  public var minor: UInt32

  public init(major: UInt32, minor: UInt32) {
    self.major = major
    self.minor = minor
  }
}
