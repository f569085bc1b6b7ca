import DeviceKit

/// A capability as it stands in configuration space, behind its ID and the pointer to the next.
struct PCICapability {
  static let powerManagementID: UInt8 = 0x01
  static let msiID: UInt8 = 0x05
  static let vendorSpecificID: UInt8 = 0x09
  static let expressID: UInt8 = 0x10
  static let msixID: UInt8 = 0x11

  /// Of an extended one.
  static let errorReportingID: UInt16 = 0x0001

  let id: UInt8
  private(set) var bytes: [UInt8] = []
  /// For each byte the bits that a client can change.
  private(set) var writable: [UInt8] = []

  /// Bytes with ID and pointer, up to where the next may start.
  var size: Int { (2 + bytes.count + 3) / 4 * 4 }

  /// The same of an extended one, with its header.
  static func size(of capability: PCIFunctionDescription.ExtendedCapability) -> Int {
    (4 + capability.bytes.count + 3) / 4 * 4
  }

  /// In the order in which they are linked.
  static func list(of description: PCIFunctionDescription) -> [PCICapability] {
    var list: [PCICapability] = []
    if let pm = description.powerManagement { list.append(powerManagement(pm)) }
    if let msi = description.msi { list.append(self.msi(msi)) }
    if let msix = description.msix { list.append(self.msix(msix)) }
    if description.isExpress { list.append(express(hasFLR: description.reset == .flr)) }
    return list + description.vendorSpecific.map(vendorSpecific)
  }

  private static func powerManagement(
    _ description: PCIFunctionDescription.PowerManagement
  ) -> Self {
    var capability = Self(id: powerManagementID)
    // Version 3. vfio-pci hides PME.
    capability.append16(3)
    // The power state is the bus's to change.
    capability.append16(description.keepsState ? 1 << 3 : 0)
    capability.append16(0)
    return capability
  }

  private static func msi(_ description: PCIFunctionDescription.MSI) -> Self {
    var capability = Self(id: msiID)
    // log2 of the vectors in bits 1 to 3; vfio-pci lets a client change its copy of the lower byte.
    let vectors = UInt16(description.vectors.trailingZeroBitCount)
    let is64Bit: UInt16 = description.is64Bit ? 1 << 7 : 0
    let masks: UInt16 = description.perVectorMasking ? 1 << 8 : 0
    capability.append16(vectors << 1 | is64Bit | masks, writable: 0xff)
    capability.append32(0, writable: .max)
    if description.is64Bit { capability.append32(0, writable: .max) }
    capability.append16(0, writable: .max)
    // What is behind the data belongs to no capability there, or is reserved.
    guard description.perVectorMasking else {
      capability.append16(0, writable: .max)
      return capability
    }
    capability.append16(0)
    capability.append32(
      0, writable: UInt32(truncatingIfNeeded: (1 << UInt64(description.vectors)) - 1))
    capability.append32(0)
    return capability
  }

  private static func msix(_ description: PCIFunctionDescription.MSIX) -> Self {
    var capability = Self(id: msixID)
    capability.append16(UInt16(description.vectors - 1))
    for place in [description.table, description.pending] {
      capability.append32(UInt32(truncatingIfNeeded: place.offset) | UInt32(place.bar))
    }
    return capability
  }

  private static func express(hasFLR: Bool) -> Self {
    var capability = Self(id: expressID)
    // Version 2, an endpoint.
    capability.append16(2)
    // Role-based error reporting, 128 bytes of payload.
    capability.append32(1 << 15 | (hasFLR ? 1 << 28 : 0))
    // Error reporting, and the client's copies of payload and read request sizes.
    capability.append16(0, writable: 0x70ef)
    capability.append16(0)
    // 2.5 GT/s on one lane, and that is how it runs.
    capability.append32(0x411)
    capability.append16(0)
    capability.append16(0x11)
    // Slots and roots are not for endpoints; the second set of registers has nothing to say.
    for _ in 0..<10 { capability.append32(0) }
    return capability
  }

  private static func vendorSpecific(
    _ description: PCIFunctionDescription.VendorSpecific
  ) -> Self {
    var capability = Self(id: vendorSpecificID)
    capability.bytes = [UInt8(truncatingIfNeeded: description.bytes.count + 3)] + description.bytes
    capability.writable =
      [0]
      + description.bytes.indices.map {
        $0 < description.writable.count ? description.writable[$0] : 0
      }
    return capability
  }

  private mutating func append16(_ value: UInt16, writable mask: UInt16 = 0) {
    bytes += [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)]
    writable += [UInt8(truncatingIfNeeded: mask), UInt8(mask >> 8)]
  }

  private mutating func append32(_ value: UInt32, writable mask: UInt32 = 0) {
    append16(UInt16(truncatingIfNeeded: value), writable: UInt16(truncatingIfNeeded: mask))
    append16(UInt16(value >> 16), writable: UInt16(mask >> 16))
  }
}
