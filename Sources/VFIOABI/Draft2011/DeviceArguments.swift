extension Draft2011 {
  /// `struct vfio_device_info`.
  public struct DeviceInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var numRegions: UInt32 = 0
    public var numIRQs: UInt32 = 0

    public init() {}
  }

  /// `struct vfio_region_info`.
  public struct RegionInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var index: UInt32 = 0
    public var resv: UInt32 = 0
    /// Bytes; 0 for a region that the device does not have.
    public var size: UInt64 = 0
    /// Where the region starts on the device descriptor.
    public var offset: UInt64 = 0

    public init() {}
  }

  /// `struct vfio_irq_info`.
  public struct IRQInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var index: UInt32 = 0
    /// Interrupts at the index; 0 for one that the device does not have.
    public var count: UInt32 = 0

    public init() {}
  }

  /// `struct vfio_irq_eventfds` up to its descriptors: `count` times an `Int32` follow.
  public struct IRQEventfds: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    public var index: UInt32 = 0
    public var count: UInt32 = 0

    public init() {}

    /// Bytes of the structure with its descriptors.
    public var fullSize: UInt64 {
      UInt64(Self.size) + UInt64(count) * UInt64(MemoryLayout<Int32>.size)
    }

    /// The descriptor that stands for none.
    public static let none: Int32 = -1
  }

  /// `struct vfio_unmask_irq`.
  public struct UnmaskIRQ: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    public var index: UInt32 = 0
    public var subindex: UInt32 = 0

    public init() {}
  }
}

/// `VFIO_DEVICE_FLAGS_*`.
extension ArgumentFlags<Draft2011.DeviceInfo> {
  /// The device can be reset.
  public static var reset: Self { .bit(0) }
  /// A PCI device.
  public static var pci: Self { .bit(1) }

  public static var all: Self { [.reset, .pci] }
}

/// `VFIO_REGION_INFO_FLAG_*`.
extension ArgumentFlags<Draft2011.RegionInfo> {
  /// The region can be mapped.
  public static var mmap: Self { .bit(0) }
  /// The region cannot be written.
  public static var readOnly: Self { .bit(1) }

  public static var all: Self { [.mmap, .readOnly] }
}

/// `VFIO_IRQ_INFO_FLAG_*`.
extension ArgumentFlags<Draft2011.IRQInfo> {
  /// Level-triggered: masked when it is signalled.
  public static var level: Self { .bit(0) }

  public static var all: Self { [.level] }
}
