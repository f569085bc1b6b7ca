/// One channel of the PL081: its registers, and what they ask for (ARM DDI 0218E, chapter 3).
struct PL081Channel {
  var source: UInt32 = 0
  var destination: UInt32 = 0
  /// Where the next linked list item is; the last one says 0.
  var list: UInt32 = 0
  var control: UInt32 = 0
  var configuration: UInt32 = 0
  /// Counts what ends a transfer from outside: one that was under way has no effect then.
  var generation: UInt64 = 0

  private static let sourceIncrement: UInt32 = 1 << 26
  private static let destinationIncrement: UInt32 = 1 << 27
  private static let terminalCountInterrupt: UInt32 = 1 << 31
  static let enable: UInt32 = 1 << 0
  static let errorMask: UInt32 = 1 << 14
  static let terminalCountMask: UInt32 = 1 << 15
  private static let halt: UInt32 = 1 << 18
  /// All but the active bit, which is the channel's own.
  static let writableConfiguration: UInt32 = 0x0005_fbdf
  static let itemSize = 16

  var isEnabled: Bool { configuration & Self.enable != 0 }
  var isHalted: Bool { configuration & Self.halt != 0 }
  /// Whether the end of this item is an interrupt.
  var raisesInterrupt: Bool { control & Self.terminalCountInterrupt != 0 }
  var incrementsSource: Bool { control & Self.sourceIncrement != 0 }
  var incrementsDestination: Bool { control & Self.destinationIncrement != 0 }
  /// From memory to memory, with the controller in charge of the flow.
  var isMemoryToMemory: Bool { configuration >> 11 & 0x7 == 0 }
  /// Bytes of one access at the source, nil for a width that is reserved.
  var sourceWidth: Int? { Self.width(control >> 18) }
  var destinationWidth: Int? { Self.width(control >> 21) }
  /// Bytes that the item moves; at most 16,380.
  var byteCount: Int { Int(control & 0xfff) * (sourceWidth ?? 0) }

  private static func width(_ field: UInt32) -> Int? {
    field & 0x7 < 3 ? 1 << Int(field & 0x7) : nil
  }

  /// Nothing that is under way may touch the channel any more.
  mutating func disable() {
    configuration &= ~Self.enable
    generation += 1
  }

  /// The registers after the item: addresses moved on, nothing left to transfer.
  mutating func finishItem() {
    if incrementsSource { source &+= UInt32(byteCount) }
    if incrementsDestination { destination &+= UInt32(byteCount) }
    control &= ~0xfff
  }

  /// Takes the next item: four words in memory.
  mutating func load(_ item: [UInt8]) {
    let words = stride(from: 0, to: Self.itemSize, by: 4).map { at in
      item[at..<(at + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
    (source, destination, list, control) = (words[0], words[1], words[2] & ~0x3, words[3])
  }
}
