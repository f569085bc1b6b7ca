import ClientAccess
import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

struct GroupFileTests {
  let machine: Machine
  let client = MemoryClient()
  let group: Int32

  init() throws {
    machine = try Machine()
    group = try client.open(machine.vfio, 240)
  }

  @Test func openOfNoGroup() {
    #expect(
      errno { () throws(Errno) in try client.open(machine.vfio, 1) }
        == .operationNotSupportedByDevice)
  }

  @Test func describesItself() throws {
    #expect(try client.file(group)?.description == "group pci:240")
  }

  // MARK: - General rules

  static let foreign: [UInt32] = [
    0, 0x3b73, 0x3b65, 0x3b68, 0x8004_3b65, 0x3b69, 0x3b6c, 0x3b72, .max,
  ]

  @Test(arguments: foreign)
  func unknownRequests(request: UInt32) {
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, request, 8) }
        == .inappropriateIOCTLForDevice)
  }

  @Test func noReadWriteMmap() throws {
    #expect(
      errno { () throws(Errno) in try client.pread(group, 0, 0, 4) } == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try client.pwrite(group, 0, 0, [1]) } == .invalidArgument)
    let file = try #require(try client.file(group))
    let request = MapRequest(offset: 0, length: 4096, isShared: true)
    #expect(
      errno { () throws(Errno) in try file.mmap(request) } == .operationNotSupportedByDevice)
  }

  @Test func infoBadPointer() {
    for address in [0, 0x10_0ffc, UInt64.max - 3] {
      #expect(
        errno { () throws(Errno) in try client.ioctl(group, .groupGetInfo, address) }
          == .badAddress)
    }
  }

  @Test(arguments: [(0, true), (7, true), (8, false), (9, false), (4096, false)])
  func infoSize(argsz: UInt32, isRefused: Bool) {
    var info = Draft2011.GroupInfo()
    info.argsz = argsz
    let error = errno { () throws(Errno) in try client.ioctl(group, .groupGetInfo, info) }
    #expect(error == (isRefused ? .invalidArgument : nil))
  }

  @Test(arguments: [0b111, 0b100, 1 << 31] as [UInt32])
  func infoUnknownFlags(bits: UInt32) {
    var info = Draft2011.GroupInfo.sized
    info.flags = .init(rawValue: bits)
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetInfo, info) }
        == .invalidArgument)
  }

  @Test func infoStructureCanBeReused() throws {
    var info = Draft2011.GroupInfo.sized
    info.flags = [.viable, .mmLocked]
    #expect(try client.ioctl(group, .groupGetInfo, info).flags == .viable)
  }

  @Test func infoToReadOnlyMemory() throws {
    try client.store(Draft2011.GroupInfo.sized, to: ClientAddress(0x10_0000))
    client.space.mmap(0x20_0000, pages: 1)
    client.space.poke(0x20_0000, [8, 0, 0, 0, 0, 0, 0, 0])
    let bytes = try client.loadBytes(8, from: ClientAddress(0x20_0000))
    client.space.mmap(0x20_0000, pages: 1, .read)
    client.space.poke(0x20_0000, bytes)
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetInfo, 0x20_0000) }
        == .badAddress)
  }

  // MARK: - Viability

  @Test func viableAndUnowned() throws {
    #expect(try client.groupFlags(group) == .viable)
  }

  @Test(arguments: [PCIBus.Driver.none, .host("edu")])
  func notViableWithAnotherDriver(driver: PCIBus.Driver) throws {
    try machine.add("0000:06:0d.2", group: 240, driver: driver)
    #expect(try client.groupFlags(group) == [])
    #expect(errno { () throws(Errno) in try client.getIOMMU(group) } == .resourceBusy)
    #expect(
      errno { () throws(Errno) in try client.getDevice(group, "0000:06:0d.0") } == .resourceBusy)
    // Even for names that nothing matches; a bad string comes first.
    #expect(errno { () throws(Errno) in try client.getDevice(group, "x") } == .resourceBusy)
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetDeviceFD, 0) } == .badAddress)
    let address = try #require(PCIAddress("0000:06:0d.2"))
    if driver != .none { try machine.bus.unbind(address) }
    try machine.bus.bind(address, to: .vfio)
    #expect(try client.groupFlags(group) == .viable)
    _ = try client.getDevice(group, "0000:06:0d.2")
  }

  // MARK: - Device names

  @Test func opensTheDeviceByItsName() throws {
    let device = try client.getDevice(group, "0000:06:0d.1")
    #expect(try client.file(device)?.description == "device 0000:06:0d.1")
    #expect(try client.groupFlags(group) == [.viable, .mmLocked])
  }

  @Test(arguments: ["", "0000:06:0d", "0000:06:0d.2", "06:0d.0", "0000:07:00.0", "0000:06:0d.0 "])
  func noSuchDevice(name: String) throws {
    #expect(
      errno { () throws(Errno) in try client.getDevice(group, name) }
        == .operationNotSupportedByDevice)
    #expect(try client.groupFlags(group) == .viable)
  }

  @Test func nameUpToAnUnmappedPage() throws {
    let name = Array("0000:06:0d.0".utf8) + [0]
    let address = MemoryClient.argument + 4096 - UInt64(name.count)
    client.space.poke(address, name)
    _ = try client.ioctl(group, .groupGetDeviceFD, address)
  }

  @Test func nameAcrossPages() throws {
    client.space.mmap(MemoryClient.argument + 4096, pages: 1)
    let address = MemoryClient.argument + 4096 - 5
    client.space.poke(address, Array("0000:06:0d.0".utf8) + [0])
    _ = try client.ioctl(group, .groupGetDeviceFD, address)
  }

  @Test func nameRunsIntoAnUnmappedPage() {
    client.space.poke(MemoryClient.argument + 4090, Array("0000:0".utf8))
    #expect(
      errno { () throws(Errno) in
        try client.ioctl(group, .groupGetDeviceFD, MemoryClient.argument + 4090)
      } == .badAddress)
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetDeviceFD, .max) }
        == .badAddress)
  }

  @Test func nameOfAPageAndMore() {
    client.space.mmap(0x20_0000, pages: 3)
    client.space.poke(0x20_0008, [UInt8](repeating: 0x61, count: 4095))
    // 4095 bytes and a NUL: a page, so it is looked up.
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetDeviceFD, 0x20_0008) }
        == .operationNotSupportedByDevice)
    client.space.poke(0x20_0008 + 4095, [0x61])
    #expect(
      errno { () throws(Errno) in try client.ioctl(group, .groupGetDeviceFD, 0x20_0008) }
        == .invalidArgument)
  }

  @Test func nameThatIsNoText() {
    client.space.poke(MemoryClient.argument, [0xff, 0xfe, 0])
    #expect(
      errno { () throws(Errno) in
        try client.ioctl(group, .groupGetDeviceFD, MemoryClient.argument)
      } == .operationNotSupportedByDevice)
  }

  // MARK: - Ownership

  static let requests: [Draft2011.Request?] = [
    .groupMerge, .groupUnmerge, .groupGetIOMMUFD, .groupGetDeviceFD, .iommuGetInfo, nil,
  ]

  @Test(arguments: requests, [true, false])
  func othersAreRefusedBeforeAnythingElse(request: Draft2011.Request?, byDevice: Bool) throws {
    let stranger = MemoryClient()
    let theirs = try stranger.open(machine.vfio, 240)
    let opened =
      byDevice ? try client.getDevice(group, "0000:06:0d.0") : try client.getIOMMU(group)
    // A null argument and an unknown request, too.
    #expect(
      errno { () throws(Errno) in try stranger.ioctl(theirs, request?.rawValue ?? 0x1234, 0) }
        == .notPermitted)
    #expect(try stranger.groupFlags(theirs) == [.viable, .mmLocked])
    client.close(opened)
    #expect(try stranger.groupFlags(theirs) == .viable)
    _ = try stranger.getIOMMU(theirs)
    #expect(errno { () throws(Errno) in try client.getIOMMU(group) } == .notPermitted)
  }

  @Test func threadsShareTheOwnership() throws {
    let thread = MemoryClient(sharing: client.space)
    let theirs = try thread.open(machine.vfio, 240)
    _ = try client.getIOMMU(group)
    _ = try thread.getDevice(theirs, "0000:06:0d.0")
  }

  @Test func ownedUntilTheLastDescriptorCloses() throws {
    let iommu = try client.getIOMMU(group)
    let device = try client.getDevice(group, "0000:06:0d.0")
    let again = try client.getDevice(group, "0000:06:0d.0")
    for descriptor in [iommu, again] {
      client.close(descriptor)
      #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    }
    client.close(group)
    #expect(machine.status(240)?.isOwned == true)
    client.close(device)
    #expect(machine.status(240)?.isOwned == false)
  }

  @Test func groupsAreOwnedOneByOne() throws {
    _ = try client.getIOMMU(group)
    let stranger = MemoryClient()
    _ = try stranger.getIOMMU(try stranger.open(machine.vfio, 241))
  }
}
