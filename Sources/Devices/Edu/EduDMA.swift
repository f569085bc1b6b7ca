/// The registers and the buffer of edu's DMA engine.
struct EduDMA {
  /// Where the buffer is in the device's own address space.
  static let bufferStart: UInt64 = 0x40000
  static let bufferSize: UInt64 = 4096
  /// How much of an address in memory the device puts on the bus.
  static let addressMask: UInt64 = (1 << 28) - 1
  /// How long a transfer takes.
  static let duration = Duration.milliseconds(100)

  static let commandRun: UInt64 = 1 << 0
  static let commandToMemory: UInt64 = 1 << 1
  static let commandInterrupt: UInt64 = 1 << 2

  private static let zeros = [UInt8](repeating: 0, count: Int(bufferSize))

  var source: UInt64 = 0
  var destination: UInt64 = 0
  /// Bytes.
  var count: UInt64 = 0
  /// Bit 0 is set while a transfer runs.
  var command: UInt64 = 0
  /// The devices share it until they are written to.
  var buffer = Self.zeros
  /// Bus mastering was off at some time of the transfer under way, which then moves nothing.
  var isAbandoned = false

  var isRunning: Bool { command & Self.commandRun != 0 }
  var isToMemory: Bool { command & Self.commandToMemory != 0 }
  var raisesInterrupt: Bool { command & Self.commandInterrupt != 0 }

  mutating func abandon() {
    if isRunning { isAbandoned = true }
  }

  /// The part of the buffer that `command` moves, nil where that is not all inside it.
  func bufferRange(for command: UInt64) -> Range<Int>? {
    let address = command & Self.commandToMemory != 0 ? source : destination
    guard address >= Self.bufferStart, address - Self.bufferStart <= Self.bufferSize,
      count <= Self.bufferSize - (address - Self.bufferStart)
    else { return nil }
    let start = Int(address - Self.bufferStart)
    return start..<(start + Int(count))
  }
}
