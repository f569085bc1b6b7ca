import DeviceKit

/// The configuration space of a PCI function as a VFIO client sees it: 256 bytes, each with a mask of the
/// bits that software can change.
///
/// BARs are virtual: what is written to one is read back with the size's bits at 0, which is how
/// software sizes it, and moves nothing. The same for the MSI message; only the enable bit means
/// something, and it can be set only while the client has eventfds for MSI.
struct PCIConfigSpace: Sendable {
  static let size = 256
  /// Where the BARs are.
  static let bars = 0x10..<0x28

  private var bytes = [UInt8](repeating: 0, count: size)
  private var writable = [UInt8](repeating: 0, count: size)
  /// Where the MSI capability is.
  private let msi: Int?
  /// Whether the pin is asserted: bit 3 of the status register.
  var isINTxAsserted = false

  private enum Offset {
    static let vendorID = 0x00
    static let deviceID = 0x02
    static let command = 0x04
    static let status = 0x06
    static let revision = 0x08
    static let classCode = 0x09
    static let cacheLineSize = 0x0c
    static let bar0 = 0x10
    static let subsystemVendorID = 0x2c
    static let subsystemID = 0x2e
    static let capabilities = 0x34
    static let interruptLine = 0x3c
    static let interruptPin = 0x3d
    static let afterHeader = 0x40
  }

  private static let capabilityListBit: UInt16 = 1 << 4
  private static let intxStatusBit: UInt8 = 1 << 3
  private static let msiID: UInt8 = 0x05
  private static let msiEnableBit: UInt8 = 1 << 0

  /// The state at open.
  ///
  /// - Parameter addresses: where the platform put the BARs, by number.
  init(_ description: PCIFunctionDescription, addresses: [Int: UInt64] = [:]) {
    msi = description.msi == nil ? nil : Offset.afterHeader
    put16(description.vendorID, at: Offset.vendorID)
    put16(description.deviceID, at: Offset.deviceID)
    put16(PCICommand.atOpen.rawValue, at: Offset.command, writable: PCICommand.writable.rawValue)
    bytes[Offset.revision] = description.revision
    put16(UInt16(truncatingIfNeeded: description.classCode), at: Offset.classCode)
    bytes[Offset.classCode + 2] = UInt8(truncatingIfNeeded: description.classCode >> 16)
    writable[Offset.cacheLineSize] = 0xff
    for (number, bar) in description.bars {
      put(bar, number: number, address: addresses[number] ?? 0)
    }
    put16(description.subsystemVendorID, at: Offset.subsystemVendorID)
    put16(description.subsystemID, at: Offset.subsystemID)
    writable[Offset.interruptLine] = 0xff
    bytes[Offset.interruptPin] = description.interruptPin.rawValue
    // Bytes of no capability are the function's own, and pass through.
    for offset in Offset.afterHeader..<Self.size { writable[offset] = 0xff }
    if let msi = description.msi {
      put16(Self.capabilityListBit, at: Offset.status)
      bytes[Offset.capabilities] = UInt8(Offset.afterHeader)
      put(msi, at: Offset.afterHeader)
    }
  }

  private mutating func put(
    _ bar: PCIFunctionDescription.BAR, number: Int, address: UInt64
  ) {
    let offset = Offset.bar0 + 4 * number
    let mask = ~(bar.size - 1)
    switch bar.space {
    case .memory32:
      let kind: UInt32 = bar.isPrefetchable ? 0b1000 : 0
      put32(
        UInt32(truncatingIfNeeded: address & mask) | kind, at: offset,
        writable: UInt32(truncatingIfNeeded: mask) & ~0xf)
    case .memory64:
      let kind: UInt32 = bar.isPrefetchable ? 0b1100 : 0b0100
      put32(
        UInt32(truncatingIfNeeded: address & mask) | kind, at: offset,
        writable: UInt32(truncatingIfNeeded: mask) & ~0xf)
      put32(
        UInt32(truncatingIfNeeded: address >> 32), at: offset + 4,
        writable: UInt32(truncatingIfNeeded: mask >> 32))
    case .io:
      put32(
        UInt32(truncatingIfNeeded: address & mask) | 1, at: offset,
        writable: UInt32(truncatingIfNeeded: mask) & ~0x3)
    }
  }

  private mutating func put(_ msi: PCIFunctionDescription.MSI, at offset: Int) {
    // log2 of the vectors, in bits 1 to 3; bits 4 to 6 say how many of them software uses.
    let log2 = UInt16(msi.vectors.trailingZeroBitCount)
    let control = log2 << 1 | (msi.is64Bit ? 1 << 7 : 0) | (msi.perVectorMasking ? 1 << 8 : 0)
    put16(UInt16(Self.msiID), at: offset)
    put16(control, at: offset + 2, writable: log2 == 0 ? 0 : 0b111 << 4)
    var end = offset + (msi.is64Bit ? 0x0e : 0x0a)
    if msi.perVectorMasking {
      end += 2
      put32(0, at: end, writable: UInt32(truncatingIfNeeded: UInt64(1) << UInt64(msi.vectors) - 1))
      put32(0, at: end + 4)
    }
  }

  var command: PCICommand {
    get { PCICommand(rawValue: get16(Offset.command)) }
    set { bytes.replaceSubrange(Offset.command..<Offset.status, with: Self.split(newValue)) }
  }

  /// Whether the MSI enable bit is set.
  var isMSIEnabled: Bool {
    msi.map { bytes[$0 + 2] & Self.msiEnableBit != 0 } ?? false
  }

  /// Sets the MSI enable bit and lets software change it, or clears it for good.
  mutating func setMSI(enabled: Bool) {
    guard let msi else { return }
    bytes[msi + 2] = bytes[msi + 2] & ~Self.msiEnableBit | (enabled ? Self.msiEnableBit : 0)
    writable[msi + 2] = writable[msi + 2] & ~Self.msiEnableBit | (enabled ? Self.msiEnableBit : 0)
  }

  /// `offset` is below `size`.
  func byte(at offset: Int) -> UInt8 {
    if offset == Offset.status, isINTxAsserted { return bytes[offset] | Self.intxStatusBit }
    return bytes[offset]
  }

  /// Changes what software may change of the byte; `offset` is below `size`.
  mutating func write(_ value: UInt8, at offset: Int) {
    bytes[offset] = bytes[offset] & ~writable[offset] | value & writable[offset]
  }

  private func get16(_ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8
  }

  private mutating func put16(_ value: UInt16, at offset: Int, writable mask: UInt16 = 0) {
    for i in 0..<2 {
      bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * i))
      writable[offset + i] = UInt8(truncatingIfNeeded: mask >> (8 * i))
    }
  }

  private mutating func put32(_ value: UInt32, at offset: Int, writable mask: UInt32 = 0) {
    put16(UInt16(truncatingIfNeeded: value), at: offset, writable: UInt16(truncatingIfNeeded: mask))
    put16(UInt16(value >> 16), at: offset + 2, writable: UInt16(mask >> 16))
  }

  private static func split(_ command: PCICommand) -> [UInt8] {
    [UInt8(truncatingIfNeeded: command.rawValue), UInt8(command.rawValue >> 8)]
  }
}
