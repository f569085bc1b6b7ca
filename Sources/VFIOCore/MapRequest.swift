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

/// What stands behind a mapping of an open file. There is no kind of it yet: every request is refused.
public enum MapBacking: Sendable {}
