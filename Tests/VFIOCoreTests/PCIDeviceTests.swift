import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// What a PCI device says of itself, and its regions.
struct PCIDeviceTests {
  private func bench() throws -> (PCIBench, ModelDouble) {
    let maker = ModelDouble.Maker()
    let bench = try PCIBench(maker.kind(.double))
    return (bench, try #require(maker.model))
  }

  // MARK: - Information

  @Test(arguments: [0, 0x3b64, 0x3b69, 0x3b73, .max] as [UInt32])
  func unknownRequests(request: UInt32) throws {
    let b = try PCIBench()
    #expect(
      errno { () throws(Errno) in try b.client.ioctl(b.device, request, 8) }
        == .inappropriateIOCTLForDevice)
  }

  @Test func info() throws {
    let b = try PCIBench()
    let info = try b.client.ioctl(b.device, .deviceGetInfo, Draft2011.DeviceInfo.sized)
    #expect(info.flags == [.pci, .reset])
    #expect(info.numRegions == 8)
    #expect(info.numIRQs == 3)
    #expect(
      try b.client.ioctl(b.device, .deviceGetInfo, info).flags == [.pci, .reset])
    let (other, _) = try bench()
    #expect(
      try other.client.ioctl(other.device, .deviceGetInfo, Draft2011.DeviceInfo.sized).flags
        == .pci)
  }

  static let sized: [Draft2011.Request] = [
    .deviceGetInfo, .deviceGetRegionInfo, .deviceGetIRQInfo, .deviceSetIRQEventfds,
    .deviceUnmaskIRQ, .deviceSetUnmaskIRQEventfds,
  ]

  /// Each takes a structure that begins with `argsz` and `flags`.
  @Test(arguments: sized)
  func badStructures(request: Draft2011.Request) throws {
    let b = try PCIBench()
    let size: UInt32 = request == .deviceGetRegionInfo ? 32 : 16
    func error(argsz: UInt32, flags: UInt32) -> Errno? {
      b.client.space.poke(MemoryClient.argument, [UInt8](repeating: 0, count: 64))
      return errno { () throws(Errno) in
        var header = Draft2011.IRQEventfds()
        header.argsz = argsz
        header.flags = flags
        return try b.client.ioctl(b.device, request, header)
      }
    }
    #expect(
      errno { () throws(Errno) in try b.client.ioctl(b.device, request, 0) } == .badAddress)
    #expect(
      errno { () throws(Errno) in
        try b.client.ioctl(b.device, request, MemoryClient.argument + 4096 - UInt64(size) + 1)
      } == .badAddress)
    #expect(error(argsz: 0, flags: 0) == .invalidArgument)
    #expect(error(argsz: size - 1, flags: 0) == .invalidArgument)
    #expect(error(argsz: size, flags: 4) == .invalidArgument)
    #expect(error(argsz: size, flags: 1 << 31) == .invalidArgument)
  }

  @Test func aLargerStructureIsFine() throws {
    let b = try PCIBench()
    var info = Draft2011.DeviceInfo.sized
    info.argsz = 4096
    #expect(try b.client.ioctl(b.device, .deviceGetInfo, info).numRegions == 8)
  }

  @Test func regions() throws {
    let (b, _) = try bench()
    let sizes: [UInt64] = [4096, 32, 1 << 33, 0, 32, 0, 0, 256]
    for (index, size) in sizes.enumerated() {
      var info = Draft2011.RegionInfo.sized
      info.index = UInt32(index)
      info.flags = [.mmap, .readOnly]
      let region = try b.client.ioctl(b.device, .deviceGetRegionInfo, info)
      #expect(region.size == size)
      #expect(region.offset == UInt64(index) << 40)
      #expect(region.flags == (index == 6 ? .readOnly : []))
    }
    for index in [8, UInt32.max] {
      var info = Draft2011.RegionInfo.sized
      info.index = index
      #expect(
        errno { () throws(Errno) in try b.client.ioctl(b.device, .deviceGetRegionInfo, info) }
          == .invalidArgument)
    }
  }

  @Test func irqs() throws {
    let (b, _) = try bench()
    for (index, count) in [1, 4, 0].enumerated() {
      var info = Draft2011.IRQInfo.sized
      info.index = UInt32(index)
      let irq = try b.client.ioctl(b.device, .deviceGetIRQInfo, info)
      #expect(irq.count == UInt32(count))
      #expect(irq.flags == (index == 0 ? .level : []))
    }
    for index in [3, UInt32.max] {
      var info = Draft2011.IRQInfo.sized
      info.index = index
      #expect(
        errno { () throws(Errno) in try b.client.ioctl(b.device, .deviceGetIRQInfo, info) }
          == .invalidArgument)
    }
  }

  @Test func reset() throws {
    let b = try PCIBench()
    try b.client.write(b.device, 0, 4, 0)
    try b.setConfig(0x3c, 0x5a, bytes: 1)
    try b.client.ioctl(b.device, .deviceReset)
    #expect(try b.client.read(b.device, 0, 4) == 0)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
    let (other, model) = try bench()
    #expect(
      errno { () throws(Errno) in try other.client.ioctl(other.device, .deviceReset) }
        == .invalidArgument)
    #expect(!model.log.entries.contains("reset"))
  }

  // MARK: - BAR access

  struct Split: Sendable {
    var offset: UInt64
    var count: Int
    var pieces: [String]
  }

  static let splits: [Split] = [
    Split(offset: 0, count: 1, pieces: ["0 1"]),
    Split(offset: 0, count: 2, pieces: ["0 2"]),
    Split(offset: 0, count: 3, pieces: ["0 2", "2 1"]),
    Split(offset: 0, count: 4, pieces: ["0 4"]),
    Split(offset: 0, count: 8, pieces: ["0 4", "4 4"]),
    Split(offset: 1, count: 8, pieces: ["1 1", "2 2", "4 4", "8 1"]),
    Split(offset: 2, count: 4, pieces: ["2 2", "4 2"]),
    Split(offset: 3, count: 2, pieces: ["3 1", "4 1"]),
    Split(offset: 4092, count: 8, pieces: ["4092 4"]),
    Split(offset: 4095, count: 4, pieces: ["4095 1"]),
  ]

  @Test(arguments: splits)
  func accessesAreCut(_ split: Split) throws {
    let (b, model) = try bench()
    let done = min(split.count, 4096 - Int(split.offset))
    let bytes = (0..<done).map { UInt8(truncatingIfNeeded: Int(split.offset) + $0) }
    #expect(try b.client.pread(b.device, 0, split.offset, split.count) == bytes)
    #expect(model.log.entries == split.pieces.map { "r0 " + $0 })
    let written = [UInt8](repeating: 0xa5, count: split.count)
    #expect(try b.client.pwrite(b.device, 0, split.offset, written) == done)
    let writes = model.log.entries.dropFirst(split.pieces.count)
    let expected = split.pieces.map { piece in
      "w0 " + piece + " " + String(repeating: "a5", count: Int(piece.suffix(1)) ?? 0)
    }
    #expect(Array(writes) == expected)
  }

  @Test func valuesAreLittleEndian() throws {
    let (b, model) = try bench()
    try b.client.pwrite(b.device, 4, 8, [1, 2, 3, 4])
    #expect(model.log.entries == ["w4 8 4 4030201"])
  }

  @Test func endsOfRegions() throws {
    let (b, model) = try bench()
    for (region, size) in [(0, 4096), (2, 1 << 33), (4, 32), (7, 256)] as [(UInt32, UInt64)] {
      #expect(b.readError(region, size) == .invalidArgument)
      #expect(b.writeError(region, size) == .invalidArgument)
      #expect(b.readError(region, 1 << 40 - 1) == .invalidArgument)
      #expect(try b.client.pread(b.device, region, size - 2, 4).count == 2)
      #expect(try b.client.pwrite(b.device, region, size - 2, [0, 0, 0, 0]) == 2)
    }
    #expect(model.log.entries.allSatisfy { !$0.contains(" 4096 ") })
  }

  @Test func regionsThatAreNotThere() throws {
    let (b, model) = try bench()
    for region: UInt32 in [3, 5, 6, 8, 9, 0xff_ffff] {
      #expect(b.readError(region, 0) == .invalidArgument)
      #expect(b.writeError(region, 0) == .invalidArgument)
      #expect(b.readError(region, 0, 0) == nil)
    }
    #expect(model.log.entries.isEmpty)
  }

  @Test func decodingOff() throws {
    let (b, model) = try bench()
    try b.setConfig(4, 0x1, bytes: 2)
    #expect(b.readError(0, 0) == .ioError)
    #expect(b.writeError(0, 0) == .ioError)
    #expect(b.readError(0, 4096) == .invalidArgument)
    #expect(b.readError(1, 0) == nil)
    try b.setConfig(4, 0x2, bytes: 2)
    #expect(b.readError(0, 0) == nil)
    // Nobody answers for ports that are not decoded.
    #expect(try b.client.pread(b.device, 1, 1, 5) == [0xff, 0xff, 0xff, 0xff, 0xff])
    #expect(try b.client.pwrite(b.device, 1, 0, [1, 2]) == 2)
    #expect(model.log.entries == ["r1 0 4", "r0 0 4"])
  }

  @Test func registersCannotBeMapped() throws {
    let b = try PCIBench()
    let file = try #require(try b.client.file(b.device))
    for request in [
      MapRequest(offset: 0, length: 4096, isShared: true),
      MapRequest(offset: 0, length: 4096, isShared: false),
      MapRequest(offset: 6 << 40, length: 4096, isShared: true),
    ] {
      #expect(errno { () throws(Errno) in try file.mmap(request) } == .invalidArgument)
    }
  }

  // MARK: - Open and close

  @Test func registersSurviveConfigurationDoesNot() throws {
    let b = try PCIBench()
    try b.client.write(b.device, 0, 4, 0xa5a5_a5a5)
    try b.setConfig(0x3c, 0x5a, bytes: 1)
    let second = try b.client.getDevice(b.group, b.name)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
    b.client.close(second)
    #expect(try b.config(0x3c, bytes: 1) == 0x5a)
    b.client.close(b.device)
    let again = try b.client.getDevice(b.group, b.name)
    #expect(try b.client.read(again, 0, 4) == 0x5a5a_5a5a)
    #expect(try b.client.read(again, 7, 0x3c, bytes: 1) != 0x5a)
  }

  @Test func theLastCloseStopsDMA() throws {
    let (b, model) = try bench()
    try b.setConfig(4, 0x107, bytes: 2)
    let second = try b.client.getDevice(b.group, b.name)
    b.client.close(second)
    #expect(model.port.isBusMaster)
    b.client.close(b.device)
    #expect(!model.port.isBusMaster)
    #expect(model.log.entries == ["master true", "master false"])
  }

  /// What one client started must not reach the memory of the next.
  @Test func aTransferOfTheLastClientIsLost() throws {
    let b = try PCIBench()
    try b.setConfig(4, 0x107, bytes: 2)
    for (offset, value) in [(0x80, 0x40000), (0x88, 0), (0x90, 4), (0x98, 3)] as [(UInt64, UInt64)]
    {
      try b.client.write(b.device, 0, offset, value)
    }
    b.client.close(b.device)
    let iommu = try b.client.getIOMMU(b.group)
    b.client.space.mmap(0x20_0000, pages: 1)
    b.client.space.poke(0x20_0000, [9, 9])
    try b.client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
    let again = try b.client.getDevice(b.group, b.name)
    try b.client.write(again, 7, 4, 0x107, bytes: 2)
    b.machine.scheduler.advance(by: .milliseconds(100))
    #expect(b.client.space.peek(0x20_0000, count: 2) == [9, 9])
  }
}
