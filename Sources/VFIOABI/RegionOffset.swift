/// A place on a device descriptor, in both ABIs: the region's index from bit 40 up, the byte in it below.
public struct RegionOffset: Hashable, Sendable {
  public var index: UInt32
  /// Bytes from the start of the region, below 2^40.
  public var offset: UInt64

  private static let shift: UInt64 = 40

  /// The start of region `index`, below 2^24.
  public init(index: UInt32) {
    self.index = index
    self.offset = 0
  }

  public init(fileOffset: UInt64) {
    index = UInt32(fileOffset >> Self.shift)
    offset = fileOffset & ((1 << Self.shift) - 1)
  }

  public var fileOffset: UInt64 {
    UInt64(index) << Self.shift | offset
  }
}
