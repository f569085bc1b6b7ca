import DeviceKit

/// Places BARs on the emulated host bridge, one after the other. Nothing decodes these addresses; software
/// only sees that each BAR has one, with the alignment that its size asks for.
struct PCIAddressSpaceLayout {
  private struct Window {
    var unused: Range<UInt64>
    /// What was given back, by size.
    var free: [UInt64: [UInt64]] = [:]

    /// `size` is a power of two.
    mutating func take(_ size: UInt64) -> UInt64? {
      if let start = free[size]?.popLast() { return start }
      let (aligned, overflow) = unused.lowerBound.addingReportingOverflow(size - 1)
      let start = aligned & ~(size - 1)
      guard !overflow, start < unused.upperBound, unused.upperBound - start >= size else {
        return nil
      }
      unused = (start + size)..<unused.upperBound
      return start
    }

    mutating func give(_ start: UInt64, _ size: UInt64) {
      free[size, default: []].append(start)
    }
  }

  /// Ends below the local APICs.
  private var memory32 = Window(unused: 0xc000_0000..<0xfec0_0000)
  private var memory64 = Window(unused: 0x40_0000_0000..<0x1_0000_0000_0000)
  private var io = Window(unused: 0x1000..<0x1_0000)

  /// - Returns: BAR number to address, the ROM being number 6; none for a BAR that no room is left for.
  mutating func place(_ description: PCIFunctionDescription) -> [Int: UInt64] {
    var addresses: [Int: UInt64] = [:]
    for (number, bar) in Self.windows(of: description).sorted(by: { $0.key < $1.key }) {
      addresses[number] =
        switch bar.space {
        case .memory32: memory32.take(bar.size)
        case .memory64: memory64.take(bar.size)
        case .io: io.take(bar.size)
        }
    }
    return addresses
  }

  /// Takes back what `place` gave.
  mutating func release(_ addresses: [Int: UInt64], of description: PCIFunctionDescription) {
    let bars = Self.windows(of: description)
    for (number, address) in addresses {
      guard let bar = bars[number] else { continue }
      switch bar.space {
      case .memory32: memory32.give(address, bar.size)
      case .memory64: memory64.give(address, bar.size)
      case .io: io.give(address, bar.size)
      }
    }
  }

  private static func windows(
    of description: PCIFunctionDescription
  ) -> [Int: PCIFunctionDescription.BAR] {
    var bars = description.bars
    if description.rom != nil {
      bars[PCIFunctionDescription.romNumber] = .memory32(size: description.romSize)
    }
    return bars
  }
}
