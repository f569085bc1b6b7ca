extension Mainline {
  /// How many regions a PCI device has: those of `PCIRegion` and VGA.
  public static let pciRegions = 9

  /// The interrupts of a PCI device.
  public enum PCIInterrupt: UInt32, Sendable, CaseIterable {
    case intx = 0
    case msi
    case msix
    /// An uncorrectable error, of PCIe devices.
    case error
    /// Somebody wants the device back.
    case request
  }

  /// `struct vfio_pci_hot_reset_info` up to its devices.
  public struct HotResetInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    /// Devices; the kernel says here how many there are.
    public var count: UInt32 = 0

    public init() {}
  }

  /// `struct vfio_pci_dependent_device`.
  public struct DependentDevice: BitwiseCopyable, Sendable {
    public var groupID: UInt32 = 0
    /// The PCI domain.
    public var segment: UInt16 = 0
    public var bus: UInt8 = 0
    /// The device's number in bits 3 to 7, the function's below.
    public var devfn: UInt8 = 0

    public init() {}
  }

  /// `struct vfio_pci_hot_reset` up to its descriptors.
  public struct HotReset: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    /// Group descriptors: an `Int32` each.
    public var count: UInt32 = 0

    public init() {}
  }
}
