public import DeviceKit

/// What a function's configuration space holds when a client opens it, and which bits the client can change
/// (the permissions of drivers/vfio/pci/vfio_pci_config.c).
struct PCIConfigLayout: Sendable {
  static let headerType = 0x0e
  /// Where the BARs are.
  static let bars = 0x10..<0x28
  static let rom = 0x30..<0x34
  /// Whether the byte at `offset` is of a BAR or of the ROM's register.
  static func isAddress(_ offset: Int) -> Bool {
    bars.contains(offset) || rom.contains(offset)
  }

  static let conventionalSize = 0x100
  static let expressSize = 0x1000
  static let capabilitiesStart = 0x40

  private(set) var bytes: [UInt8]
  private(set) var writable: [UInt8]
  /// Where the capabilities are that mean something to the bus.
  private(set) var powerManagement: Int?
  private(set) var msi: MSI?
  private(set) var msix: Int?
  private(set) var express: Int?
  /// What a reset of the function puts back, as the kernel neither virtualises nor saves it: bytes of no
  /// capability and of the vendor's.
  private(set) var forgetful: [Range<Int>] = []

  /// Where the MSI capability and its parts are.
  struct MSI: Sendable {
    var start: Int
    /// The mask register, with the pending one behind it; nil without.
    var mask: Int?
    var vectors: Int

    var flags: Int { start + 2 }
  }

  private enum Offset {
    static let vendorID = 0x00
    static let deviceID = 0x02
    static let status = 0x06
    static let revision = 0x08
    static let classCode = 0x09
    static let cacheLineSize = 0x0c
    static let subsystemVendorID = 0x2c
    static let subsystemID = 0x2e
    static let capabilities = 0x34
    static let interruptLine = 0x3c
    static let interruptPin = 0x3d
  }

  private static let capabilityListBit: UInt16 = 1 << 4

  /// - Parameter addresses: where the platform put the BARs, by number; the ROM is number 6.
  init(_ description: PCIFunctionDescription, addresses: [Int: UInt64]) {
    let size = description.configSize
    bytes = [UInt8](repeating: 0, count: size)
    // Bytes of no capability pass through to the function, where they are memory.
    writable = [UInt8](repeating: 0, count: Self.capabilitiesStart)
    writable += [UInt8](repeating: 0xff, count: size - Self.capabilitiesStart)
    put16(description.vendorID, at: Offset.vendorID)
    put16(description.deviceID, at: Offset.deviceID)
    put16(
      PCICommand.atOpen.rawValue, at: PCICommand.offset, writable: PCICommand.writable.rawValue)
    bytes[Offset.revision] = description.revision
    put16(UInt16(truncatingIfNeeded: description.classCode), at: Offset.classCode)
    bytes[Offset.classCode + 2] = UInt8(truncatingIfNeeded: description.classCode >> 16)
    writable[Offset.cacheLineSize] = 0xff
    for (number, bar) in description.bars {
      put(bar, number: number, address: addresses[number] ?? 0)
    }
    put16(description.subsystemVendorID, at: Offset.subsystemVendorID)
    put16(description.subsystemID, at: Offset.subsystemID)
    if description.rom != nil {
      let mask = UInt32(truncatingIfNeeded: ~(description.romSize - 1))
      put32(
        UInt32(truncatingIfNeeded: addresses[PCIFunctionDescription.romNumber] ?? 0) & mask,
        at: Self.rom.lowerBound, writable: mask | 1)
    }
    writable[Offset.interruptLine] = 0xff
    bytes[Offset.interruptPin] = description.interruptPin.rawValue
    putCapabilities(description)
    putExtended(description.extended)
  }

  private mutating func put(
    _ bar: PCIFunctionDescription.BAR, number: Int, address: UInt64
  ) {
    let offset = Self.bars.lowerBound + 4 * number
    let mask = ~(bar.size - 1)
    let kind: UInt32 =
      switch bar.space {
      case .io: 0b01
      case .memory32: 0
      case .memory64: 0b0100
      }
    let low = UInt32(truncatingIfNeeded: mask) & (bar.space == .io ? ~0b11 : ~0b1111)
    put32(
      UInt32(truncatingIfNeeded: address) & low | kind | (bar.isPrefetchable ? 0b1000 : 0),
      at: offset, writable: low)
    if bar.space == .memory64 {
      put32(
        UInt32(truncatingIfNeeded: address >> 32), at: offset + 4,
        writable: UInt32(truncatingIfNeeded: mask >> 32))
    }
  }

  // MARK: - Capabilities

  private mutating func putCapabilities(_ description: PCIFunctionDescription) {
    var next = Self.capabilitiesStart
    var link = Offset.capabilities
    for capability in PCICapability.list(of: description) {
      bytes[link] = UInt8(next)
      link = next + 1
      bytes[next] = capability.id
      bytes[next + 1] = 0
      writable[next] = 0
      writable[next + 1] = 0
      let body = (next + 2)..<(next + 2 + capability.bytes.count)
      bytes.replaceSubrange(body, with: capability.bytes)
      writable.replaceSubrange(body, with: capability.writable)
      remember(capability, description, at: next)
      next += capability.size
    }
    if link != Offset.capabilities { put16(Self.capabilityListBit, at: Offset.status) }
    forgetful.append(next..<Self.conventionalSize)
  }

  private mutating func remember(
    _ capability: PCICapability, _ description: PCIFunctionDescription, at start: Int
  ) {
    switch capability.id {
    case PCICapability.powerManagementID: powerManagement = start
    case PCICapability.msiID:
      guard let msi = description.msi else { return }
      let mask = start + (msi.is64Bit ? 0x10 : 0x0c)
      self.msi = MSI(
        start: start, mask: msi.perVectorMasking ? mask : nil, vectors: msi.vectors)
    case PCICapability.msixID: msix = start
    case PCICapability.expressID: express = start
    default: forgetful.append(start..<(start + capability.size))
    }
  }

  private mutating func putExtended(
    _ capabilities: [PCIFunctionDescription.ExtendedCapability]
  ) {
    guard bytes.count == Self.expressSize else { return }
    var next = Self.conventionalSize
    for (i, capability) in capabilities.enumerated() {
      let end = next + PCICapability.size(of: capability)
      let link = i + 1 < capabilities.count ? UInt32(end) : 0
      put32(UInt32(capability.id) | UInt32(capability.version) << 16 | link << 20, at: next)
      for (k, byte) in capability.bytes.enumerated() {
        bytes[next + 4 + k] = byte
        let isInside = k < capability.writable.count
        writable[next + 4 + k] = isInside ? capability.writable[k] : 0
      }
      if capability.id != PCICapability.errorReportingID { forgetful.append(next..<end) }
      next = end
    }
    forgetful.append(next..<Self.expressSize)
  }

  // MARK: - Little-endian values

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
}

extension PCIFunctionDescription {
  /// The ROM's number among the BARs.
  public static let romNumber = 6
}
