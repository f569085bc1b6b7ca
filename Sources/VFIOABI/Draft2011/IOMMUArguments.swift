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

    /// `VFIO_DMA_MAP_FLAG_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// The device may read.
      public static let read = Flags(rawValue: 1 << 0)
      /// The device may write.
      public static let write = Flags(rawValue: 1 << 1)

      public static let all: Flags = [.read, .write]
    }
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
