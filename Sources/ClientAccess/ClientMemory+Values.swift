public import SystemPackage

extension ClientMemory {
  /// Copies in `value`, as many bytes as it has; on failure it may hold a part.
  ///
  /// - Throws: `EFAULT` when any byte cannot be read.
  public func load(_ value: inout some BitwiseCopyable, from address: ClientAddress) throws(Errno) {
    try withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
      // SAFETY: the bytes are those of `value`, any pattern is a valid one, and nothing keeps them.
      try read(address, into: bytes)
    }
  }

  /// Copies `value` out.
  ///
  /// - Throws: `EFAULT` when any byte cannot be written.
  public func store(_ value: some BitwiseCopyable, to address: ClientAddress) throws(Errno) {
    try withUnsafeBytes(of: value) { bytes throws(Errno) in
      // SAFETY: the bytes are those of `value`, which outlives the closure; nothing keeps them.
      try write(address, from: bytes)
    }
  }

  /// Copies `count` bytes in.
  ///
  /// - Throws: `EFAULT` when any byte cannot be read.
  public func loadBytes(_ count: Int, from address: ClientAddress) throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      // SAFETY: the array's own storage, for the length of the call.
      try read(address, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return bytes
  }
}
