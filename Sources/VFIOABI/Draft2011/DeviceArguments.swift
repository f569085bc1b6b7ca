extension Draft2011 {
  /// `struct vfio_device_info`.
  public struct DeviceInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var numRegions: UInt32 = 0
    public var numIRQs: UInt32 = 0

    public init() {}

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

      public static let all: Flags = [.reset, .pci]
    }
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

    /// `VFIO_REGION_INFO_FLAG_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// The region can be mapped.
      public static let mmap = Flags(rawValue: 1 << 0)
      /// The region cannot be written.
      public static let readOnly = Flags(rawValue: 1 << 1)

      public static let all: Flags = [.mmap, .readOnly]
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

    /// `VFIO_IRQ_INFO_FLAG_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// Level-triggered: masked when it is signalled.
      public static let level = Flags(rawValue: 1 << 0)

      public static let all: Flags = [.level]
    }
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
