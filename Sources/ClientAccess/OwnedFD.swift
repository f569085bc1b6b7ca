import CLinux
public import SystemPackage

/// A descriptor of ours, closed when its owner goes away.
public struct OwnedFD: ~Copyable, Sendable {
  public let rawValue: Int32

  /// Takes ownership of `rawValue`, which is an open descriptor.
  public init(owning rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// Takes ownership of a C call's result, which is a descriptor or a negative errno.
  init(result: Int32) throws(Errno) {
    self.init(owning: try result.checked())
  }

  /// Opens `path` with close-on-exec. Calls `open(2)`.
  public init(path: String, _ flags: Int32, mode: UInt32 = 0) throws(Errno) {
    try self.init(result: cl_open(path, flags, mode))
  }

  /// Gives the descriptor away: the caller closes it.
  public consuming func relinquish() -> Int32 {
    let fd = rawValue
    discard self
    return fd
  }

  deinit {
    _ = cl_close(rawValue)
  }
}

extension BinaryInteger where Self: SignedInteger {
  /// The value of a C call that answers with a value or a negative errno.
  ///
  /// - Throws: that errno.
  @discardableResult
  public func checked() throws(Errno) -> Self {
    if self < 0 { throw Errno(rawValue: CInt(-self)) }
    return self
  }
}
