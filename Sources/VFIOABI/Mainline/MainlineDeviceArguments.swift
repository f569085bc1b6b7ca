extension Mainline {
  /// `struct vfio_device_info` up to `num_irqs`.
  public struct DeviceInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var numRegions: UInt32 = 0
    public var numIRQs: UInt32 = 0

    public init() {}

    /// Where `cap_offset` is, which a client has whose `argsz` goes past it.
    public static let capOffset = 16
  }

  /// `struct vfio_region_info`.
  public struct RegionInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var index: UInt32 = 0
    /// Where the first capability is, counted from the start of the structure; 0 for none.
    public var capOffset: UInt32 = 0
    /// Bytes; 0 for a region that the device does not have.
    public var size: UInt64 = 0
    /// Where the region starts on the device descriptor.
    public var offset: UInt64 = 0

    public init() {}

    /// `VFIO_REGION_INFO_CAP_*`.
    public enum Capability {
      public static let sparseMmap: UInt16 = 1
      public static let type: UInt16 = 2
      public static let msixMappable: UInt16 = 3
    }
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

  /// `struct vfio_irq_set` up to its data.
  public struct IRQSet: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var index: UInt32 = 0
    public var start: UInt32 = 0
    public var count: UInt32 = 0

    public init() {}
  }

  /// `struct vfio_device_ioeventfd` without the gap at its end.
  public struct IOEventFD: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    /// On the device descriptor.
    public var offset: UInt64 = 0
    public var data: UInt64 = 0
    /// -1 removes.
    public var fd: Int32 = 0

    public init() {}
  }

  /// `struct vfio_device_low_power_entry_with_wakeup`.
  public struct LowPowerEntry: BitwiseCopyable, Sendable {
    public var wakeupEventfd: Int32 = 0
    public var reserved: UInt32 = 0

    public init() {}
  }

  /// `struct vfio_device_feature` up to its data.
  public struct DeviceFeature: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}
  }
}

/// `VFIO_DEVICE_FLAGS_*`.
extension ArgumentFlags<Mainline.DeviceInfo> {
  /// The device can be reset.
  public static var reset: Self { .bit(0) }
  /// A PCI device.
  public static var pci: Self { .bit(1) }
}

/// `VFIO_REGION_INFO_FLAG_*`.
extension ArgumentFlags<Mainline.RegionInfo> {
  public static var read: Self { .bit(0) }
  public static var write: Self { .bit(1) }
  /// The region can be mapped.
  public static var mmap: Self { .bit(2) }
  public static var caps: Self { .bit(3) }
}

/// `VFIO_IRQ_INFO_*`.
extension ArgumentFlags<Mainline.IRQInfo> {
  public static var eventfd: Self { .bit(0) }
  public static var maskable: Self { .bit(1) }
  /// Masked when it is signalled.
  public static var automasked: Self { .bit(2) }
  /// More vectors need it disabled first.
  public static var noResize: Self { .bit(3) }
}

/// `VFIO_IRQ_SET_*`.
extension ArgumentFlags<Mainline.IRQSet> {
  /// No data.
  public static var none: Self { .bit(0) }
  /// A byte each, not 0 for yes.
  public static var bool: Self { .bit(1) }
  /// An `Int32` each, a descriptor or -1 for none.
  public static var eventfd: Self { .bit(2) }
  public static var mask: Self { .bit(3) }
  public static var unmask: Self { .bit(4) }
  public static var trigger: Self { .bit(5) }

  public static var data: Self { [.none, .bool, .eventfd] }
  public static var actions: Self { [.mask, .unmask, .trigger] }
}

/// `VFIO_DEVICE_IOEVENTFD_*`.
extension ArgumentFlags<Mainline.IOEventFD> {
  /// The width of the write, in bytes, is the raw value.
  public static var sizes: Self { Self(rawValue: 0xf) }
}

/// The feature in the low 16 bits, and `VFIO_DEVICE_FEATURE_*`.
extension ArgumentFlags<Mainline.DeviceFeature> {
  public static var feature: Self { Self(rawValue: 0xffff) }
  public static var get: Self { .bit(16) }
  public static var set: Self { .bit(17) }
  public static var probe: Self { .bit(18) }
}
