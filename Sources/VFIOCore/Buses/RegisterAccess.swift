import DeviceKit

/// Reads registers into `buffer`, in pieces as the bus cuts them.
func readRegisters(
  at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
  _ read: (_ offset: UInt64, _ width: AccessWidth) -> UInt64
) {
  for (start, width) in AccessPieces(offset: offset, count: buffer.count) {
    let value = read(offset + UInt64(start), width)
    // SAFETY: the pieces lie within the buffer.
    for i in 0..<width.rawValue {
      buffer[start + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(i)))
    }
  }
}

/// Writes `buffer` to registers, in pieces as the bus cuts them.
func writeRegisters(
  at offset: UInt64, from buffer: UnsafeRawBufferPointer,
  _ write: (_ offset: UInt64, _ width: AccessWidth, _ value: UInt64) -> Void
) {
  for (start, width) in AccessPieces(offset: offset, count: buffer.count) {
    var value: UInt64 = 0
    // SAFETY: the pieces lie within the buffer.
    for i in 0..<width.rawValue { value |= UInt64(buffer[start + i]) << (8 * UInt64(i)) }
    write(offset + UInt64(start), width, value)
  }
}
