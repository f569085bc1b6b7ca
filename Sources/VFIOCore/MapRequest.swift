public import ClientAccess

/// A client's wish to map a part of an open file.
public struct MapRequest: Hashable, Sendable {
  /// Bytes from the start of the file, a multiple of the page size.
  public var offset: UInt64
  /// Bytes.
  public var length: UInt64
  /// `MAP_SHARED`, as opposed to `MAP_PRIVATE`.
  public var isShared: Bool

  public init(offset: UInt64, length: UInt64, isShared: Bool) {
    self.offset = offset
    self.length = length
    self.isShared = isShared
  }
}

/// What stands behind a mapping of an open file: a part of a memory file, as long as the request says; or
/// registers, where each access is to be brought to the open file's `load` and `store`.
public struct MapBacking: Sendable {
  /// The open file's `VFIOFile.memory`, nil for registers.
  public var memory: SharedMemory?
  /// Bytes from the start of the memory file. A device's region `i` starts at `i << 40`, as on its
  /// descriptor, so that this is the request's own offset.
  public var offset: UInt64

  public init(memory: SharedMemory?, offset: UInt64) {
    self.memory = memory
    self.offset = offset
  }
}
