import DeviceKit

extension TestDevice {
  static func description(memory: UInt64) -> PCIFunctionDescription {
    PCIFunctionDescription(
      vendorID: 0x1234, deviceID: 0x7e57, revision: 1, classCode: 0xff0000,
      subsystemVendorID: 0x1234, subsystemID: 0x0001,
      bars: [
        registers: .memory32(size: 4096), ports: .io(size: 32),
        Self.memory: .memory64(size: memory, prefetchable: true, ram: true),
        4: .memory32(size: 8192),
      ],
      rom: rom, interruptPin: .a, msi: .init(vectors: 4, is64Bit: true, perVectorMasking: true),
      msix: .init(
        vectors: 16, table: .init(bar: 4, offset: 0), pending: .init(bar: 4, offset: 0x1000)),
      powerManagement: .init(), isExpress: true,
      vendorSpecific: [
        .init(bytes: Array("testdev".utf8) + [0, 0], writable: [0, 0, 0, 0, 0, 0, 0, 0xff, 0x0f])
      ],
      extended: [
        .serialNumber(0x7e57_0000_0000_0001),
        .vendorSpecific(
          id: 0x7e57, bytes: [1, 2, 3, 4, 0, 0, 0, 0],
          writable: [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
      ],
      reset: .flr)
  }

  /// 3 KiB: a signature, a PCI data structure, and a pattern. Its BAR has 4 KiB.
  static let rom: [UInt8] = {
    var image = (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    image.replaceSubrange(0..<3, with: [0x55, 0xaa, 6])
    image.replaceSubrange(0x18..<0x1a, with: [0x1c, 0])
    let structure: [UInt8] =
      Array("PCIR".utf8) + [0x34, 0x12, 0x57, 0x7e, 0, 0, 0x18, 0, 0, 0, 0, 0xff, 6, 0, 1, 0]
      // No code in it, and the last image.
      + [0xff, 0x80, 0, 0]
    image.replaceSubrange(0x1c..<(0x1c + structure.count), with: structure)
    return image
  }()
}
