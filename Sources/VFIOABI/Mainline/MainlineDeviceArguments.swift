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

    /// `VFIO_DEVICE_FLAGS_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// The device can be reset.
      public static let reset = Flags(rawValue: 1 << 0)
      /// A PCI device.
      public static let pci = Flags(rawValue: 1 << 1)
    }
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

    /// `VFIO_REGION_INFO_FLAG_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      public static let read = Flags(rawValue: 1 << 0)
      public static let write = Flags(rawValue: 1 << 1)
      /// The region can be mapped.
      public static let mmap = Flags(rawValue: 1 << 2)
      public static let caps = Flags(rawValue: 1 << 3)
    }

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

    /// `VFIO_IRQ_INFO_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      public static let eventfd = Flags(rawValue: 1 << 0)
      public static let maskable = Flags(rawValue: 1 << 1)
      /// Masked when it is signalled.
      public static let automasked = Flags(rawValue: 1 << 2)
      /// More vectors need it disabled first.
      public static let noResize = Flags(rawValue: 1 << 3)
    }
  }

  /// `struct vfio_irq_set` up to its data.
  public struct IRQSet: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var index: UInt32 = 0
    public var start: UInt32 = 0
    public var count: UInt32 = 0

    public init() {}

    /// `VFIO_IRQ_SET_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// No data.
      public static let none = Flags(rawValue: 1 << 0)
      /// A byte each, not 0 for yes.
      public static let bool = Flags(rawValue: 1 << 1)
      /// An `Int32` each, a descriptor or -1 for none.
      public static let eventfd = Flags(rawValue: 1 << 2)
      public static let mask = Flags(rawValue: 1 << 3)
      public static let unmask = Flags(rawValue: 1 << 4)
      public static let trigger = Flags(rawValue: 1 << 5)

      public static let data: Flags = [.none, .bool, .eventfd]
      public static let actions: Flags = [.mask, .unmask, .trigger]
    }
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

    /// `VFIO_DEVICE_IOEVENTFD_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// The width of the write, in bytes, is the raw value.
      public static let sizes = Flags(rawValue: 0xf)
    }
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

    /// The feature in the low 16 bits, and `VFIO_DEVICE_FEATURE_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      public static let feature = Flags(rawValue: 0xffff)
      public static let get = Flags(rawValue: 1 << 16)
      public static let set = Flags(rawValue: 1 << 17)
      public static let probe = Flags(rawValue: 1 << 18)
    }
  }
}
