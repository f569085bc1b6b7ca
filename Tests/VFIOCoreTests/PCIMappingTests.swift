import ClientAccess
import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Which parts of a device descriptor can be mapped, and what is there then.
struct PCIMappingTests {
  static let page = SharedMemory.pageSize

  /// BAR 0 registers, BAR 1 less than a page, BAR 2 plain RAM, BAR 4 with an MSI-X table in pages 2 and 3.
  static let description = PCIFunctionDescription(
    vendorID: 1, deviceID: 2, classCode: 0,
    bars: [
      0: .memory32(size: 1 << 20), 1: .memory32(size: page / 2, ram: true),
      2: .memory64(size: 1 << 39, prefetchable: true, ram: true),
      4: .memory32(size: 8 * page, ram: true),
    ],
    msix: .init(
      vectors: Int(page / 16), table: .init(bar: 4, offset: 2 * page + 8),
      pending: .init(bar: 0, offset: 0x80000)))

  private let b: PCIBench
  private let model: ModelDouble
  private let file: any VFIOFile

  init() throws {
    let maker = ModelDouble.Maker()
    b = try PCIBench(maker.kind(Self.description))
    model = try #require(maker.model)
    file = try #require(try b.client.file(b.device))
  }

  private func map(_ offset: UInt64, _ length: UInt64, isShared: Bool = true) -> Errno? {
    errno { () throws(Errno) in
      try file.mmap(MapRequest(offset: offset, length: length, isShared: isShared))
    }
  }

  @Test func wholeAndPart() throws {
    for (offset, length) in [
      (0, 1 << 39), (0, 4096), (0, 1), (1 << 39 - Self.page, Self.page), (Self.page, 5000),
    ] as [(UInt64, UInt64)] {
      let at = 2 << 40 + offset
      let backing = try file.mmap(MapRequest(offset: at, length: length, isShared: true))
      #expect(backing.offset == at)
      #expect(backing.memory === file.memory)
    }
  }

  @Test func refused() {
    let bar2: UInt64 = 2 << 40
    #expect(map(bar2, 4096, isShared: false) == .invalidArgument)
    #expect(map(bar2, 0) == .invalidArgument)
    #expect(map(bar2, 1 << 39 + 1) == .invalidArgument)
    #expect(map(bar2 + 1 << 39, 4096) == .invalidArgument)
    #expect(map(bar2 + 1 << 39 - Self.page, Self.page + 1) == .invalidArgument)
    #expect(map(bar2 + 1, 4096) == .invalidArgument)
    #expect(map(bar2 + Self.page, .max) == .invalidArgument)
    // Registers, less than a page, the upper half of BAR 2, ROM, configuration space and beyond.
    for index: UInt64 in [0, 1, 3, 5, 6, 7, 8, 1 << 23] {
      #expect(map(index << 40, Self.page) == .invalidArgument)
    }
    #expect(map(.max - Self.page + 1, Self.page) == .invalidArgument)
  }

  @Test func aroundTheMSIXTable() {
    let bar4: UInt64 = 4 << 40
    for (first, count, isFine) in [
      (0, 2, true), (1, 1, true), (4, 4, true), (7, 1, true), (0, 8, false), (1, 2, false),
      (2, 1, false), (3, 1, false), (3, 2, false),
    ] as [(UInt64, UInt64, Bool)] {
      let error = map(bar4 + first * Self.page, count * Self.page)
      #expect(error == (isFine ? nil : .invalidArgument), "page \(first), \(count) pages")
    }
    // The last byte asked for is in the table's first page.
    #expect(map(bar4, 2 * Self.page + 1) == .invalidArgument)
  }

  private func regionFlags(_ index: UInt32) throws -> Draft2011.RegionInfo.Flags {
    var info = Draft2011.RegionInfo.sized
    info.index = index
    return try b.client.ioctl(b.device, .deviceGetRegionInfo, info).flags
  }

  @Test func flagOnlyWhereTheTransportCanMap() throws {
    for index: UInt32 in 0...5 { #expect(try regionFlags(index) == []) }
    b.client.setCanMap()
    for index: UInt32 in 0...7 {
      let expected: Draft2011.RegionInfo.Flags =
        switch index {
        case 2, 4: .mmap
        case 6: .readOnly
        default: []
        }
      #expect(try regionFlags(index) == expected)
    }
  }

  /// A mapping, the model and the descriptor see the same bytes.
  @Test func oneMemory() throws {
    let memory = try #require(file.memory)
    let at: UInt64 = 1 << 39 - Self.page
    let mapped = try memory.window(2 << 40 + at..<2 << 40 + at + Self.page)
    let seen = try #require(model.port.memory(bar: 2))
    try b.client.write(b.device, 2, at + 8, 0x1122_3344_5566_7788, bytes: 8)
    #expect(bytes(mapped, 8, 8) == [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
    [1, 2, 3].withUnsafeBytes {
      mapped.write(at: 4093, from: UnsafeRawBufferPointer(rebasing: $0[..<3]))
    }
    #expect(bytes(seen, Int(at) + 4093, 3) == [1, 0, 0])
    #expect(try b.client.pread(b.device, 2, 1 << 39 - 3, 8) == [1, 0, 0])
    #expect(model.port.memory(bar: 0) == nil)
    #expect(seen.count == 1 << 39)
    #expect(model.log.entries.isEmpty)
  }

  @Test func memoryDecodingOffStopsTheDescriptorOnly() throws {
    try b.setConfig(4, 0, bytes: 2)
    #expect(b.readError(2, 0) == .ioError)
    #expect(b.writeError(2, 0) == .ioError)
    #expect(map(2 << 40, 4096) == nil)
  }

  @Test func nothingToMap() throws {
    let bare = try PCIBench()
    let file = try #require(try bare.client.file(bare.device))
    #expect(file.memory == nil)
    #expect(try #require(try bare.client.file(bare.group)).memory == nil)
  }

  private func bytes(_ memory: any DeviceMemory, _ offset: Int, _ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xee, count: count)
    bytes.withUnsafeMutableBytes { memory.read(at: offset, into: $0) }
    return bytes
  }
}
