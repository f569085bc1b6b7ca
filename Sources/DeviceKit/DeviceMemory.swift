/// The bytes of a BAR that is RAM, which clients may have mapped and change at any time.
///
/// The range of each access must be inside: else it traps.
public protocol DeviceMemory: AnyObject, Sendable {
  /// Bytes.
  var count: Int { get }

  /// Copies out of it.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer)

  /// Copies into it.
  func write(at offset: Int, from buffer: UnsafeRawBufferPointer)
}
