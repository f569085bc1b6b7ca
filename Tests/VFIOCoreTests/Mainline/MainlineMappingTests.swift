import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// What can be mapped by today's API: memory of any kind and size (`vfio_pci_probe_mmaps`).
@Suite struct MainlineMappingTests {
  private let client = MemoryClient()
  private let machine: Machine
  private let model: ModelDouble
  private let device: Int32
  private let file: any VFIOFile

  init() throws {
    client.setCanMap()
    machine = try Machine(populated: false)
    let maker = ModelDouble.Maker()
    try machine.add("0000:01:00.0", group: 1, kind: maker.kind(.double))
    device = try client.open(machine.vfio, 1, "0000:01:00.0").device
    model = try #require(maker.model)
    file = try #require(try client.file(device))
  }

  private func map(_ bar: UInt64, _ offset: UInt64, _ length: UInt64) -> Errno? {
    errno { () throws(Errno) in
      _ = try file.mmap(MapRequest(offset: bar << 40 + offset, length: length, isShared: true))
    }
  }

  @Test func flags() throws {
    func flags(_ index: UInt32) throws(Errno) -> Mainline.RegionInfo.Flags {
      var info = Mainline.RegionInfo()
      (info.argsz, info.index) = (32, index)
      return try client.ioctl(device, Mainline.DeviceRequest.getRegionInfo.rawValue, info).flags
    }
    #expect(try flags(0) == [.read, .write, .mmap])
    #expect(try flags(1) == [.read, .write])
    #expect(try flags(2) == [.read, .write, .mmap])
    #expect(try flags(4) == [.read, .write, .mmap])
    #expect(try flags(7) == [.read, .write])
  }

  /// BAR 4 has 32 bytes, and the page to itself.
  @Test func lessThanAPage() throws {
    for length: UInt64 in [1, 32, 4096] { #expect(map(4, 0, length) == nil) }
    for length: UInt64 in [0, 4097, 8192] { #expect(map(4, 0, length) == .invalidArgument) }
    #expect(map(4, 4096, 1) == .invalidArgument)
    #expect(map(1, 0, 32) == .invalidArgument)
    let bar: UInt64 = 4 << 40
    #expect(try file.load(at: bar + 28, width: .dword) == 0x1f1e_1d1c)
    try file.store(at: bar + 24, width: .qword, value: 7)
    #expect(model.log.entries.suffix(2) == ["w4 24 4 7", "w4 28 4 0"])
    // Nothing is in the rest of it.
    let count = model.log.entries.count
    for offset: UInt64 in [32, 0xff8] {
      #expect(try file.load(at: bar + offset, width: .qword) == 0)
      try file.store(at: bar + offset, width: .dword, value: 7)
    }
    #expect(model.log.entries.count == count)
    let address = try #require(machine.bus.functions.first?.barAddresses[4])
    #expect(address % 4096 == 0)
  }

  @Test func wholePages() {
    #expect(map(0, 0, 4096) == nil)
    #expect(map(0, 0, 4097) == .invalidArgument)
    #expect(map(2, 4096, 1 << 20) == nil)
  }
}
