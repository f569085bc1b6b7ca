extension DeviceMemory {
  /// Copies `count` bytes out of it.
  public func read(at offset: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      // SAFETY: the array's own storage, all of it written by the call.
      read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
      initialized = count
    }
  }

  /// Copies `bytes` into it.
  public func write(at offset: Int, _ bytes: [UInt8]) {
    // SAFETY: the array's own storage, for the length of the call.
    bytes.withUnsafeBytes { write(at: offset, from: $0) }
  }
}
