import DeviceKit

/// Places BARs on the emulated host bridge, one after the other. Nothing decodes these addresses; software
/// only sees that each BAR has one, with the alignment that its size asks for.
struct PCIAddressSpaceLayout {
  /// Ends below the local APICs.
  private var memory32: Range<UInt64> = 0xc000_0000..<0xfec0_0000
  private var memory64: Range<UInt64> = 0x40_0000_0000..<0x1_0000_0000_0000
  private var io: Range<UInt64> = 0x1000..<0x1_0000

  /// - Returns: BAR number to address, the ROM being number 6; none for a BAR that no room is left for.
  mutating func place(_ description: PCIFunctionDescription) -> [Int: UInt64] {
    var addresses: [Int: UInt64] = [:]
    var bars = description.bars
    if description.rom != nil {
      bars[PCIFunctionDescription.romNumber] = .memory32(size: description.romSize)
    }
    for (number, bar) in bars.sorted(by: { $0.key < $1.key }) {
      addresses[number] =
        switch bar.space {
        case .memory32: Self.take(bar.size, from: &memory32)
        case .memory64: Self.take(bar.size, from: &memory64)
        case .io: Self.take(bar.size, from: &io)
        }
    }
    return addresses
  }

  /// `size` is a power of two.
  private static func take(_ size: UInt64, from window: inout Range<UInt64>) -> UInt64? {
    let (aligned, overflow) = window.lowerBound.addingReportingOverflow(size - 1)
    let start = aligned & ~(size - 1)
    guard !overflow, start < window.upperBound, window.upperBound - start >= size else {
      return nil
    }
    window = (start + size)..<window.upperBound
    return start
  }
}
