/// A run of bytes to move between a buffer of ours and a client's memory.
public struct CopySegment {
  public var local: UnsafeMutableRawPointer
  public var remote: ClientAddress
  /// Bytes, at least one.
  public var count: Int

  public init(local: UnsafeMutableRawPointer, remote: ClientAddress, count: Int) {
    self.local = local
    self.remote = remote
    self.count = count
  }
}

/// Which way bytes move between us and client memory.
public enum CopyDirection: Sendable {
  case fromClient
  case toClient
}
