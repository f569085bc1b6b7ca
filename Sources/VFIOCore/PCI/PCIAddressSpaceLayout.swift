import ClientAccess
import DeviceKit

/// Places BARs on the emulated host bridge. Nothing decodes these addresses; software only sees that each BAR has
/// one, with the alignment that its size asks for, and that what is on one bus lies together: in pieces of the
/// size that the windows of bridges have (PCI-to-PCI Bridge Architecture 1.2, 3.2.5).
struct PCIAddressSpaceLayout {
  private struct Window {
    /// Bytes of the smallest piece.
    let granularity: UInt64
    var unused: Range<UInt64>
    /// Pieces that were given back, by size.
    var free: [UInt64: [UInt64]] = [:]
    var rooms: [PCIBusAddress: Room] = [:]

    init(_ range: Range<UInt64>, granularity: UInt64) {
      unused = range
      self.granularity = granularity
    }

    /// `size` is a power of two.
    mutating func take(_ size: UInt64, on bus: PCIBusAddress) -> UInt64? {
      if let start = rooms[bus]?.take(size) { return start }
      let length = max(size, granularity)
      guard let piece = takePiece(length) else { return nil }
      rooms[bus, default: Room()].add(piece, length)
      return rooms[bus]?.take(size)
    }

    private mutating func takePiece(_ length: UInt64) -> UInt64? {
      if let start = free[length]?.popLast() { return start }
      let (end, overflow) = unused.lowerBound.addingReportingOverflow(length - 1)
      let start = end & ~(length - 1)
      guard !overflow, start < unused.upperBound, unused.upperBound - start >= length else {
        return nil
      }
      unused = (start + length)..<unused.upperBound
      return start
    }

    mutating func give(_ start: UInt64, _ size: UInt64, on bus: PCIBusAddress) {
      rooms[bus]?.give(start, size)
      guard let room = rooms[bus], room.taken == 0 else { return }
      for (start, length) in room.pieces { free[length, default: []].append(start) }
      rooms[bus] = nil
    }
  }

  /// What one bus has of a window.
  private struct Room {
    var pieces: [(start: UInt64, length: UInt64)] = []
    /// How many BARs are in it.
    var taken = 0
    private var unused: [Range<UInt64>] = []
    private var free: [UInt64: [UInt64]] = [:]

    mutating func add(_ start: UInt64, _ length: UInt64) {
      pieces.append((start, length))
      unused.append(start..<(start + length))
    }

    mutating func take(_ size: UInt64) -> UInt64? {
      if let start = free[size]?.popLast() {
        taken += 1
        return start
      }
      for index in unused.indices {
        let range = unused[index]
        let start = (range.lowerBound + (size - 1)) & ~(size - 1)
        guard start < range.upperBound, range.upperBound - start >= size else { continue }
        unused[index] = (start + size)..<range.upperBound
        taken += 1
        return start
      }
      return nil
    }

    mutating func give(_ start: UInt64, _ size: UInt64) {
      free[size, default: []].append(start)
      taken -= 1
    }
  }

  /// Ends below the local APICs.
  private var memory32 = Window(
    0xc000_0000..<0xfec0_0000, granularity: PCIBridgeWindows.memoryGranularity)
  private var memory64 = Window(
    0x40_0000_0000..<0x1_0000_0000_0000, granularity: PCIBridgeWindows.memoryGranularity)
  private var io = Window(0x1000..<0x1_0000, granularity: PCIBridgeWindows.ioGranularity)

  /// - Returns: BAR number to address, the ROM being number 6; none for a BAR that no room is left for.
  mutating func place(
    _ description: PCIFunctionDescription, on bus: PCIBusAddress
  ) -> [Int: UInt64] {
    var addresses: [Int: UInt64] = [:]
    for (number, bar) in description.windows.sorted(by: { $0.key < $1.key }) {
      addresses[number] =
        switch bar.space {
        case .memory32: memory32.take(bar.room, on: bus)
        case .memory64: memory64.take(bar.room, on: bus)
        case .io: io.take(bar.room, on: bus)
        }
    }
    return addresses
  }

  /// Takes back what `place` gave.
  mutating func release(
    _ addresses: [Int: UInt64], of description: PCIFunctionDescription, on bus: PCIBusAddress
  ) {
    let bars = description.windows
    for (number, address) in addresses {
      guard let bar = bars[number] else { continue }
      switch bar.space {
      case .memory32: memory32.give(address, bar.room, on: bus)
      case .memory64: memory64.give(address, bar.room, on: bus)
      case .io: io.give(address, bar.room, on: bus)
      }
    }
  }
}

extension PCIFunctionDescription {
  /// The BARs, and the ROM as one more.
  var windows: [Int: BAR] {
    var bars = bars
    if rom != nil { bars[Self.romNumber] = .memory32(size: romSize) }
    return bars
  }
}

extension PCIFunctionDescription.BAR {
  /// Bytes that nothing else is in: of memory whole pages, as firmware does for what is to be mapped.
  fileprivate var room: UInt64 {
    space == .io ? size : max(size, SharedMemory.pageSize)
  }
}
