extension Mainline {
  /// `struct vfio_iommu_type1_info` up to `iova_pgsizes`.
  public struct IOMMUInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    /// One bit a page size in bytes.
    public var iovaPgsizes: UInt64 = 0

    public init() {}

    /// Where `cap_offset` is, which a client has whose `argsz` goes past it.
    public static let capOffset = 16
    /// Bytes of the whole structure: where capabilities begin.
    public static let fullSize = 24

    /// `VFIO_IOMMU_TYPE1_INFO_CAP_*`.
    public enum Capability {
      public static let iovaRange: UInt16 = 1
      public static let migration: UInt16 = 2
      public static let dmaAvail: UInt16 = 3
    }
  }

  /// `struct vfio_iommu_type1_dma_map`.
  public struct DMAMap: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    /// The first byte in the client's memory.
    public var vaddr: UInt64 = 0
    /// The first byte as the device sees it.
    public var iova: UInt64 = 0
    /// Bytes.
    public var size: UInt64 = 0

    public init() {}
  }

  /// `struct vfio_iommu_type1_dma_unmap` up to its data.
  public struct DMAUnmap: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []
    public var iova: UInt64 = 0
    /// Bytes; the kernel says here how many it unmapped.
    public var size: UInt64 = 0

    public init() {}
  }

  /// `struct vfio_bitmap`.
  public struct Bitmap: BitwiseCopyable, Sendable {
    /// Bytes that a bit stands for.
    public var pgsize: UInt64 = 0
    /// Bytes of the bitmap.
    public var size: UInt64 = 0
    /// Where it is in the client's memory.
    public var data: UInt64 = 0

    public init() {}
  }

  /// `struct vfio_iommu_type1_dirty_bitmap` up to its data.
  public struct DirtyPages: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}
  }

  /// `struct vfio_iommu_type1_dirty_bitmap_get`.
  public struct DirtyRange: BitwiseCopyable, Sendable {
    public var iova: UInt64 = 0
    /// Bytes.
    public var size: UInt64 = 0
    public var bitmap = Bitmap()

    public init() {}
  }
}

/// `VFIO_IOMMU_INFO_*`.
extension ArgumentFlags<Mainline.IOMMUInfo> {
  public static var pgsizes: Self { .bit(0) }
  public static var caps: Self { .bit(1) }
}

/// `VFIO_DMA_MAP_FLAG_*`.
extension ArgumentFlags<Mainline.DMAMap> {
  /// The device may read.
  public static var read: Self { .bit(0) }
  /// The device may write.
  public static var write: Self { .bit(1) }
  /// Gives a mapping whose address was taken away another one.
  public static var vaddr: Self { .bit(2) }

  public static var all: Self { [.read, .write, .vaddr] }
}

/// `VFIO_DMA_UNMAP_FLAG_*`.
extension ArgumentFlags<Mainline.DMAUnmap> {
  /// A `Bitmap` follows.
  public static var getDirtyBitmap: Self { .bit(0) }
  /// Everything; `iova` and `size` are 0.
  public static var all: Self { .bit(1) }
  /// Takes only the addresses in client memory away.
  public static var vaddr: Self { .bit(2) }

  public static var known: Self { [.getDirtyBitmap, .all, .vaddr] }
}

/// `VFIO_IOMMU_DIRTY_PAGES_FLAG_*`.
extension ArgumentFlags<Mainline.DirtyPages> {
  public static var start: Self { .bit(0) }
  public static var stop: Self { .bit(1) }
  /// A `DirtyRange` follows.
  public static var getBitmap: Self { .bit(2) }
}
