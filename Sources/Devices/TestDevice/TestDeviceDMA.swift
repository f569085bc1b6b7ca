/// The registers of the test device's DMA engine.
struct TestDeviceDMA {
  enum Status: UInt32 {
    case idle, busy, done, failed
  }

  enum Operation: UInt32 {
    /// Memory to RAM.
    case load = 1
    /// RAM to memory.
    case store
    /// Memory becomes the pattern, over and over.
    case fill
  }

  private static let operationMask: UInt32 = 0x3
  private static let interruptBit: UInt32 = 1 << 4

  /// In memory: an IOVA.
  var address: UInt64 = 0
  /// In the device's RAM.
  var offset: UInt64 = 0
  /// Bytes.
  var length: UInt32 = 0
  var pattern: UInt32 = 0
  var command: UInt32 = 0
  var status = Status.idle
  /// Where the transfer that failed did so.
  var fault: UInt64 = 0
  /// Bus mastering went off during the transfer under way.
  var isAbandoned = false

  var operation: Operation? { Operation(rawValue: command & Self.operationMask) }
  /// The message to send at the end; INTx is raised where messages are not enabled.
  var vector: Int? { command & Self.interruptBit == 0 ? nil : Int(command >> 16) }

  mutating func set(_ register: UInt64, _ value: UInt32) {
    typealias Register = TestDevice.Register
    switch register {
    case Register.addressLow: address = address & ~0xffff_ffff | UInt64(value)
    case Register.addressHigh: address = address & 0xffff_ffff | UInt64(value) << 32
    case Register.offsetLow: offset = offset & ~0xffff_ffff | UInt64(value)
    case Register.offsetHigh: offset = offset & 0xffff_ffff | UInt64(value) << 32
    case Register.length: length = value
    case Register.pattern: pattern = value
    case Register.command: command = value
    default: break
    }
  }
}
