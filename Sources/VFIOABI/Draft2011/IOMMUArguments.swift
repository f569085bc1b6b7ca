extension Draft2011 {
  /// `struct vfio_iommu_info`.
  public struct IOMMUInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    /// The highest I/O virtual address.
    public var iovaMax: UInt64 = 0
    /// The lowest I/O virtual address.
    public var iovaMin: UInt64 = 0
    /// One bit a page size in bytes; the lowest set bit is the alignment of all mappings.
    public var pgsizeBitmap: UInt64 = 0

    public init() {}
  }

  /// `struct vfio_dma_map`.
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

  /// `struct vfio_dma_unmap`.
  public struct DMAUnmap: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: UInt32 = 0
    public var iova: UInt64 = 0
    /// Bytes.
    public var size: UInt64 = 0

    public init() {}
  }
}

/// `VFIO_DMA_MAP_FLAG_*`.
extension ArgumentFlags<Draft2011.DMAMap> {
  /// The device may read.
  public static var read: Self { .bit(0) }
  /// The device may write.
  public static var write: Self { .bit(1) }

  public static var all: Self { [.read, .write] }
}
