import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOCore

/// Configuration space as a client sees it through region 7.
struct PCIConfigTests {
  private func bench() throws -> (PCIBench, ModelDouble) {
    let maker = ModelDouble.Maker()
    let bench = try PCIBench(maker.kind(.double))
    return (bench, try #require(maker.model))
  }

  @Test func eduHeader() throws {
    let b = try PCIBench()
    #expect(try b.config(0x00) == 0x11e8_1234)
    #expect(try b.config(0x04, bytes: 2) == 0x0103)
    #expect(try b.config(0x06, bytes: 2) == 0x0010)
    #expect(try b.config(0x08) == 0x00ff_0010)
    #expect(try b.config(0x0c) == 0)
    #expect(try b.config(0x10) & 0xf == 0)
    #expect(try b.config(0x10) != 0)
    for offset: UInt64 in [0x14, 0x18, 0x1c, 0x20, 0x24, 0x30] {
      #expect(try b.config(offset) == 0)
    }
    #expect(try b.config(0x2c) == 0x1100_1af4)
    #expect(try b.config(0x34, bytes: 1) == 0x40)
    #expect(try b.config(0x3d, bytes: 1) == 1)
    #expect(try b.config(0x40) == 0x0080_0005)
  }

  /// With its mask and the value that it has after all ones were written.
  @Test func barSizing() throws {
    let (b, _) = try bench()
    let ones: [UInt64: UInt64] = [
      0x10: 0xffff_f000, 0x14: 0xffff_ffe1, 0x18: 0x0000_000c, 0x1c: 0xffff_fffe,
      0x20: 0xffff_ffe8, 0x24: 0, 0x30: 0,
    ]
    for (offset, expected) in ones {
      let before = try b.config(offset)
      try b.setConfig(offset, 0xffff_ffff)
      #expect(try b.config(offset) == expected)
      try b.setConfig(offset, 0)
      // What is left are the bits that say its kind; the upper half of BAR 2 has none.
      #expect(try b.config(offset) == (offset == 0x1c ? 0 : expected & 0xf))
      try b.setConfig(offset, before)
      #expect(try b.config(offset) == before)
    }
    // Sizing moves nothing.
    try b.setConfig(0x10, 0xffff_ffff)
    #expect(try b.client.pread(b.device, 0, 16, 1) == [16])
  }

  @Test func barsHaveAlignedAddresses() throws {
    let (b, _) = try bench()
    #expect(try b.config(0x10) >= 0xc000_0000)
    #expect(try b.config(0x14) & ~0x1f >= 0x1000)
    #expect(try b.config(0x18) & 0xffff_fff0 == 0)
    #expect(try b.config(0x1c) >= 0x40)
    #expect(try b.config(0x1c) % 2 == 0)
  }

  static let fixed: [(UInt64, Int)] = [
    (0x00, 4), (0x06, 2), (0x08, 4), (0x0d, 1), (0x0e, 1), (0x28, 4), (0x2c, 4), (0x30, 4),
    (0x34, 4), (0x38, 4), (0x3d, 1), (0x40, 2),
  ]

  @Test(arguments: fixed)
  func readOnly(offset: UInt64, count: Int) throws {
    let (b, _) = try bench()
    let before = try b.config(offset, bytes: count)
    #expect(
      try b.client.pwrite(b.device, 7, offset, [UInt8](repeating: 0xff, count: count)) == count)
    #expect(try b.config(offset, bytes: count) == before)
    try b.client.pwrite(b.device, 7, offset, [UInt8](repeating: 0, count: count))
    #expect(try b.config(offset, bytes: count) == before)
  }

  @Test func commandBits() throws {
    let b = try PCIBench()
    try b.setConfig(4, 0xffff, bytes: 2)
    #expect(try b.config(4, bytes: 2) == 0x0507)
    try b.setConfig(4, 0, bytes: 2)
    #expect(try b.config(4, bytes: 2) == 0)
    // One byte of it leaves the other.
    try b.setConfig(5, 4, bytes: 1)
    #expect(try b.config(4, bytes: 2) == 0x0400)
  }

  @Test func freeBytes() throws {
    let b = try PCIBench()
    try b.setConfig(0x3c, 0x5a, bytes: 1)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
    try b.setConfig(0x0c, 0xff, bytes: 1)
    #expect(try b.config(0x0c) == 0xff)
    try b.setConfig(0xf0, 0xaabb_ccdd)
    #expect(try b.config(0xf0) == 0xaabb_ccdd)
  }

  @Test func anyWidthAndAlignment() throws {
    let b = try PCIBench()
    let whole = try b.client.pread(b.device, 7, 0, 256)
    #expect(whole.count == 256)
    for offset in [0, 1, 2, 3, 61, 250] {
      for count in 1...9 {
        let expected = Array(whole[offset..<min(256, offset + count)])
        #expect(try b.client.pread(b.device, 7, UInt64(offset), count) == expected)
      }
    }
    // Interrupt line in the middle of a write over what is read-only.
    try b.client.pwrite(b.device, 7, 0x3a, [1, 2, 3, 4, 5])
    #expect(try b.client.pread(b.device, 7, 0x3a, 5) == [0, 0, 3, 1, 0])
  }

  @Test func end() throws {
    let b = try PCIBench()
    #expect(try b.client.pread(b.device, 7, 255, 1).count == 1)
    #expect(try b.client.pread(b.device, 7, 254, 4).count == 2)
    #expect(try b.client.pread(b.device, 7, 0, 257).count == 256)
    for offset: UInt64 in [256, 0x1000, 1 << 32] {
      #expect(b.readError(7, offset) == .invalidArgument)
      #expect(b.writeError(7, offset) == .invalidArgument)
    }
  }

  @Test func noCapabilities() throws {
    let maker = ModelDouble.Maker()
    let b = try PCIBench(
      maker.kind(PCIFunctionDescription(vendorID: 1, deviceID: 2, classCode: 0)))
    #expect(try b.config(0x06, bytes: 2) == 0)
    #expect(try b.config(0x34) == 0)
    #expect(try b.config(0x3d, bytes: 1) == 0)
  }

  // MARK: - MSI capability

  @Test func msiCapability() throws {
    let (b, _) = try bench()
    // 64 bit, per-vector masking, 4 vectors.
    #expect(try b.config(0x40) == 0x0184_0005)
    try b.setConfig(0x42, 0xffff, bytes: 2)
    // Without eventfds it can neither be enabled nor use more than one vector; the rest of the lower byte is
    // the client's copy.
    #expect(try b.config(0x42, bytes: 2) == 0x018e)
    try b.client.setEventfds(b.device, 1, [b.event().fd, -1, -1])
    try b.setConfig(0x42, 0xff, bytes: 1)
    #expect(try b.config(0x42, bytes: 2) == 0x01af)
    try b.setConfig(0x42, 0x94, bytes: 1)
    #expect(try b.config(0x42, bytes: 2) == 0x0194)
    try b.setConfig(0x44, 0xfee0_1000)
    try b.setConfig(0x48, 0x1122_3344)
    try b.setConfig(0x4c, 0x5566, bytes: 2)
    #expect(
      try b.client.pread(b.device, 7, 0x44, 10) == [
        0, 0x10, 0xe0, 0xfe, 0x44, 0x33, 0x22, 0x11, 0x66, 0x55,
      ])
    try b.setConfig(0x50, 0xffff_ffff)
    #expect(try b.config(0x50) == 0xf)
    try b.setConfig(0x54, 0xffff_ffff)
    #expect(try b.config(0x54) == 0)
  }

  @Test func oneVectorLeavesNoChoice() throws {
    let b = try PCIBench()
    try b.setConfig(0x42, 0xffff, bytes: 2)
    #expect(try b.config(0x42, bytes: 2) == 0x008e)
  }

  /// As Linux 6.1 answers for QEMU's edu.
  @Test func enableBitFollowsTheEventfds() throws {
    let b = try PCIBench()
    try b.client.setEventfds(b.device, 1, [b.event().fd])
    #expect(try b.config(0x42, bytes: 2) == 0x0080)
    try b.setConfig(0x42, 0x00f1, bytes: 2)
    #expect(try b.config(0x42, bytes: 2) == 0x0081)
    try b.setConfig(0x42, 0, bytes: 2)
    #expect(try b.config(0x42, bytes: 2) == 0x0000)
    try b.setConfig(0x42, 0xff, bytes: 2)
    #expect(try b.config(0x42, bytes: 2) == 0x008f)
    try b.client.setEventfds(b.device, 1, [])
    #expect(try b.config(0x42, bytes: 2) == 0x008f)
  }
}
