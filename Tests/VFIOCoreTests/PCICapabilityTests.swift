import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Capabilities as vfio-pci virtualises them, on a PCI Express function that has them all: testdev.
struct PCICapabilityTests {
  private let b: PCIBench
  private let pm: UInt64 = 0x40
  private let msi: UInt64 = 0x48
  private let msix: UInt64 = 0x60
  private let express: UInt64 = 0x6c
  private let vendor: UInt64 = 0xa8

  init() throws {
    b = try PCIBench(TestDevice.model.kind([:]))
  }

  /// All ones and all zeros, and what is left of each.
  private func written(_ offset: UInt64, bytes: Int) throws -> (ones: UInt64, zeros: UInt64) {
    let before = try b.config(offset, bytes: bytes)
    try b.setConfig(offset, .max, bytes: bytes)
    let ones = try b.config(offset, bytes: bytes)
    try b.setConfig(offset, 0, bytes: bytes)
    let zeros = try b.config(offset, bytes: bytes)
    try b.setConfig(offset, before, bytes: bytes)
    return (ones, zeros)
  }

  @Test func list() throws {
    var found: [UInt64: UInt64] = [:]
    var at = try b.config(0x34, bytes: 1)
    while at != 0 {
      found[try b.config(at, bytes: 1)] = at
      at = try b.config(at + 1, bytes: 1)
    }
    #expect(found == [1: pm, 5: msi, 0x11: msix, 0x10: express, 9: vendor])
    #expect(try b.config(0x06, bytes: 2) & 0x10 != 0)
    for offset in found.values {
      let header = try b.config(offset, bytes: 2)
      #expect(try written(offset, bytes: 2) == (header, header))
    }
  }

  @Test func extendedList() throws {
    var info = Draft2011.RegionInfo.sized
    info.index = 7
    #expect(try b.client.ioctl(b.device, .deviceGetRegionInfo, info).size == 4096)
    #expect(try b.config(0x100) == 0x10c1_0003)
    #expect(try b.config(0x104, bytes: 8) == 0x7e57_0000_0000_0001)
    #expect(try b.config(0x10c) == 0x0001_000b)
    #expect(try b.config(0x110) == 0x0101_7e57)
    #expect(try b.config(0x114) == 0x0403_0201)
    for offset: UInt64 in [0x100, 0x104, 0x108, 0x10c, 0x110, 0x114] {
      let value = try b.config(offset)
      #expect(try written(offset, bytes: 4) == (value, value))
    }
    #expect(try written(0x118, bytes: 4) == (0xffff_ffff, 0))
    // Bytes of no capability pass through, up to the end.
    #expect(try written(0xffc, bytes: 4) == (0xffff_ffff, 0))
    #expect(b.readError(7, 4096) == .invalidArgument)
    #expect(try b.client.pread(b.device, 7, 4094, 4).count == 2)
  }

  @Test func aConventionalFunctionEndsAt256() throws {
    let bare = try PCIBench()
    #expect(bare.readError(7, 256) == .invalidArgument)
  }

  // MARK: - Power management

  @Test func d3hot() throws {
    #expect(try b.config(pm + 2, bytes: 2) == 3)
    try b.client.write(b.device, 0, 4, 0x1234)
    try b.setConfig(4, 0x107, bytes: 2)
    try b.setConfig(0x3c, 0x5a, bytes: 1)
    // There is no D1 and no D2.
    for state: UInt64 in [1, 2] {
      try b.setConfig(pm + 4, state, bytes: 2)
      #expect(try b.config(pm + 4, bytes: 2) == 0)
    }
    try b.setConfig(pm + 4, 3, bytes: 2)
    #expect(try b.config(pm + 4, bytes: 2) == 3)
    #expect(b.readError(0, 4) == .ioError)
    #expect(b.readError(2, 0) == .ioError)
    #expect(try b.client.pread(b.device, 1, 0, 4) == [0xff, 0xff, 0xff, 0xff])
    // PME is hidden; back in D0 registers are lost and configuration is not.
    try b.setConfig(pm + 4, 0xff00, bytes: 2)
    #expect(try b.config(pm + 4, bytes: 2) == 0)
    #expect(try b.client.read(b.device, 0, 4) == 0)
    #expect(try b.client.read(b.device, 0, 0x38) == 1)
    #expect(try b.config(4, bytes: 2) == 0x107)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
  }

  @Test func registersSurviveWhereTheFunctionSaysSo() throws {
    var kind = TestDevice.model.kind([:])
    kind.description.powerManagement = .init(keepsState: true)
    let b = try PCIBench(kind)
    try b.client.write(b.device, 0, 4, 0x1234)
    #expect(try b.config(pm + 4, bytes: 2) == 8)
    try b.setConfig(pm + 4, 3, bytes: 2)
    #expect(try b.config(pm + 4, bytes: 2) == 0xb)
    try b.setConfig(pm + 4, 0, bytes: 1)
    #expect(try b.client.read(b.device, 0, 4) == 0x1234)
  }

  @Test func nothingLeavesD3hot() throws {
    let (fd, event) = b.event()
    try b.client.setEventfds(b.device, 0, [fd])
    try b.setConfig(4, 0x107, bytes: 2)
    try b.client.write(b.device, 0, 8, 1)
    #expect(event.take() == 1)
    try b.setConfig(pm + 4, 3, bytes: 2)
    #expect(try b.config(6, bytes: 2) & 8 == 0)
    var unmask = Draft2011.UnmaskIRQ.sized
    unmask.index = 0
    try b.client.ioctl(b.device, .deviceUnmaskIRQ, unmask)
    #expect(event.take() == 0)
    // A reset brings it back.
    try b.client.ioctl(b.device, .deviceReset)
    #expect(try b.config(pm + 4, bytes: 2) == 0)
    #expect(try b.client.read(b.device, 0, 0) == 0x7e57_0001)
  }

  // MARK: - PCI Express

  @Test func expressRegisters() throws {
    #expect(try b.config(express + 2, bytes: 2) == 2)
    #expect(try b.config(express + 4) == 0x1000_8000)
    // Payload and read request sizes are the client's copies; nothing else of it changes.
    #expect(try written(express + 8, bytes: 1) == (0xef, 0))
    try b.setConfig(express + 9, 0x7f, bytes: 1)
    #expect(try b.config(express + 9, bytes: 1) == 0x70)
    #expect(try b.client.read(b.device, 0, 0x38) == 0)
    for offset in [express + 4, express + 0x0c, express + 0x10] {
      let value = try b.config(offset)
      #expect(try written(offset, bytes: 4) == (value, value))
    }
  }

  static let resets: [(UInt64, Int, UInt64)] = [
    (9, 1, 0x80), (8, 2, 0x8000), (8, 4, 0x8000), (4, 8, 0x8000_0000_0000),
  ]

  @Test(arguments: resets)
  func functionLevelReset(offset: UInt64, bytes: Int, value: UInt64) throws {
    try b.client.write(b.device, 0, 4, 0x1234)
    try b.setConfig(0x3c, 0x5a, bytes: 1)
    try b.setConfig(express + offset, value, bytes: bytes)
    #expect(try b.client.read(b.device, 0, 4) == 0)
    #expect(try b.client.read(b.device, 0, 0x38) == 1)
    #expect(try b.config(express + 8, bytes: 2) == 0)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
  }

  @Test func withoutFLRTheBitIsNothing() throws {
    var kind = TestDevice.model.kind([:])
    kind.description.reset = .pm
    let b = try PCIBench(kind)
    #expect(try b.config(express + 4) == 0x8000)
    try b.setConfig(express + 8, 0x8000, bytes: 2)
    #expect(try b.client.read(b.device, 0, 0x38) == 0)
  }

  // MARK: - The vendor's, and resets

  @Test func vendorSpecific() throws {
    #expect(try b.config(vendor + 2, bytes: 1) == 12)
    #expect(try b.client.pread(b.device, 7, vendor + 3, 7) == Array("testdev".utf8))
    #expect(try written(vendor + 8, bytes: 4) == (0x0fff_7665, 0x7665))
  }

  /// The kernel saves the header and what it knows; the rest begins anew.
  @Test func aResetForgetsWhatTheKernelDoesNotKnow() throws {
    try b.setConfig(4, 0x107, bytes: 2)
    try b.setConfig(0x10, 0x1234_5000)
    try b.setConfig(vendor + 10, 0x0bcd, bytes: 2)
    try b.setConfig(0xf0, 0x55)
    try b.setConfig(0x118, 0x66)
    try b.setConfig(0xff0, 0x77)
    try b.client.ioctl(b.device, .deviceReset)
    #expect(try b.config(4, bytes: 2) == 0x107)
    #expect(try b.config(0x10) == 0x1234_5000)
    #expect(try b.config(vendor + 10, bytes: 2) == 0)
    #expect(try b.config(0xf0) == 0)
    #expect(try b.config(0x118) == 0)
    #expect(try b.config(0xff0) == 0)
  }

  /// Whatever a client writes where, the function stays who it is, and a reset and a command bring it back.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func randomWrites(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let fixed: [Range<Int>] = [
      0..<4, 8..<12, 0x2c..<0x30, 0x34..<0x3c, 0x3d..<0x40, 0x40..<0x44, 0x48..<0x4a,
      0x60..<0x74, 0xa8..<0xb2, 0x100..<0x118,
    ]
    let before = try b.client.pread(b.device, 7, 0, 0x118)
    for _ in 0..<1000 {
      let offset = UInt64.random(in: 0..<4096, using: &random)
      let narrow = Bool.random(using: &random)
      let at = narrow ? offset % 0xc0 : offset
      let count = min(Int.random(in: 1...17, using: &random), 4096 - Int(at))
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(try b.client.pwrite(b.device, 7, at, bytes) == count)
      // Whether memory is decoded or not, an access ends well.
      _ = b.readError(0, at)
      _ = b.writeError(1, at % 32, 1)
      _ = b.readError(4, at)
      let after = try b.client.pread(b.device, 7, 0, 0x118)
      for range in fixed where after[range] != before[range] {
        Issue.record("seed \(seed): \(bytes) at \(at) changed \(range)")
      }
    }
    try b.client.ioctl(b.device, .deviceReset)
    try b.setConfig(4, 0x107, bytes: 2)
    #expect(try b.client.read(b.device, 0, 0) == 0x7e57_0001)
  }

  @Test(arguments: PCIFunctionDescription.Reset.allCases)
  func waysToReset(way: PCIFunctionDescription.Reset) throws {
    var kind = TestDevice.model.kind([:])
    kind.description.reset = way
    let b = try PCIBench(kind)
    func flags() throws -> Draft2011.DeviceInfo.Flags {
      try b.client.ioctl(b.device, .deviceGetInfo, Draft2011.DeviceInfo.sized).flags
    }
    func reset() -> Errno? {
      errno { () throws(Errno) in try b.client.ioctl(b.device, .deviceReset) }
    }
    #expect(try flags().contains(.reset) == (way != .none))
    #expect(reset() == (way == .none ? .invalidArgument : nil))
    // A second function on the bus is not to be reset along.
    try b.machine.add("0000:06:0e.0", group: 241)
    let isStillThere = way == .flr || way == .pm
    #expect(try flags().contains(.reset) == isStillThere)
    #expect(reset() == (isStillThere ? nil : .invalidArgument))
  }

  static let flawed: [(String, @Sendable (inout PCIFunctionDescription) -> Void)] = [
    ("ports are RAM", { $0.bars[1]?.isRAM = true }),
    ("a ROM without signature", { $0.rom = [0, 0] }),
    ("no ROM at all", { $0.rom = [] }),
    ("3 MSI vectors", { $0.msi?.vectors = 3 }),
    ("no MSI-X vector", { $0.msix?.vectors = 0 }),
    ("too many MSI-X vectors", { $0.msix?.vectors = 2049 }),
    ("a table in no BAR", { $0.msix?.table.bar = 3 }),
    ("a table in ports", { $0.msix?.table.bar = 1 }),
    ("a table past the end", { $0.msix?.table.offset = 8192 - 248 }),
    ("a table that wraps", { $0.msix?.table.offset = .max - 7 }),
    ("a crooked table", { $0.msix?.table.offset = 4 }),
    ("pending bits in RAM", { $0.msix?.pending.bar = 2 }),
    ("pending bits in the table", { $0.msix?.pending.offset = 248 }),
    (
      "a reset by D3hot that keeps",
      {
        $0.reset = .pm
        $0.powerManagement?.keepsState = true
      }
    ),
    (
      "a reset by D3hot without",
      {
        $0.reset = .pm
        $0.powerManagement = nil
      }
    ),
    ("a long capability", { $0.vendorSpecific = [.init(bytes: Array(repeating: 0, count: 253))] }),
    ("many capabilities", { $0.vendorSpecific = [.init(bytes: Array(repeating: 0, count: 100))] }),
    ("extended without PCI Express", { $0.isExpress = false }),
    ("a version 16", { $0.extended[0].version = 16 }),
    ("long extended ones", { $0.extended[0].bytes = Array(repeating: 0, count: 3900) }),
  ]

  @Test func flaws() throws {
    for (name, change) in Self.flawed {
      var kind = TestDevice.model.kind([:])
      change(&kind.description)
      let machine = try Machine(populated: false)
      #expect(throws: BusError.self, Comment(rawValue: name)) {
        try machine.add("0000:06:0d.0", group: 240, kind: kind)
      }
    }
  }

  // MARK: - ROM

  @Test func rom() throws {
    var info = Draft2011.RegionInfo.sized
    info.index = 6
    let region = try b.client.ioctl(b.device, .deviceGetRegionInfo, info)
    #expect(region.size == 4096)
    #expect(region.flags == .readOnly)
    #expect(try b.client.pread(b.device, 6, 0, 3) == [0x55, 0xaa, 6])
    #expect(try b.client.pread(b.device, 6, 0x1c, 4) == Array("PCIR".utf8))
    // The image ends before its BAR.
    #expect(
      try b.client.pread(b.device, 6, 3071, 3) == [UInt8(truncatingIfNeeded: 3071 * 7), 0xff, 0xff])
    #expect(try b.client.pread(b.device, 6, 4095, 4) == [0xff])
    #expect(b.readError(6, 4096) == .invalidArgument)
    #expect(b.writeError(6, 0) == .invalidArgument)
    let before = try b.config(0x30)
    #expect(before & 0xfff == 0)
    #expect(before != 0)
    #expect(try written(0x30, bytes: 4) == (0xffff_f001, 0))
    // Whether software has enabled it plays no part; memory must be decoded.
    try b.setConfig(4, 0, bytes: 2)
    #expect(b.readError(6, 0) == .noMemory)
  }
}
