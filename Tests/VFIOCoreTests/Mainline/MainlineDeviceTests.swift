import ClientAccess
import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// vfio-pci as today's kernels have it, on edu.
@Suite struct MainlineDeviceTests {
  let client = MemoryClient()
  let machine: Machine
  let container: Int32
  let group: Int32
  let device: Int32

  init() throws {
    machine = try Machine()
    (container, group, device) = try client.open(machine.vfio, 241, "0000:07:00.0")
  }

  private func region(_ index: UInt32, argsz: UInt32 = 32) throws(Errno) -> Mainline.RegionInfo {
    var info = Mainline.RegionInfo()
    (info.argsz, info.index) = (argsz, index)
    return try client.ioctl(device, Mainline.DeviceRequest.getRegionInfo.rawValue, info)
  }

  @Test func regions() throws {
    #expect(try region(0).size == 1 << 20)
    #expect(try region(0).flags == [.read, .write])
    #expect(try region(1).size == 0)
    #expect(try region(1).flags == [])
    #expect(try region(7).offset == 7 << 40)
    #expect(errno { () throws(Errno) in _ = try region(8) } == .invalidArgument)
    #expect(errno { () throws(Errno) in _ = try region(0, argsz: 31) } == .invalidArgument)
  }

  @Test func interrupts() throws {
    func info(_ index: UInt32) throws(Errno) -> (UInt32, Mainline.IRQInfo.Flags) {
      var info = Mainline.IRQInfo()
      (info.argsz, info.index) = (16, index)
      let got = try client.ioctl(device, Mainline.DeviceRequest.getIRQInfo.rawValue, info)
      return (got.count, got.flags)
    }
    #expect(try info(0) == (1, [.eventfd, .maskable, .automasked]))
    #expect(try info(1) == (1, [.eventfd, .noResize]))
    #expect(try info(2) == (0, [.eventfd, .noResize]))
    // An error needs PCI Express.
    #expect(errno { () throws(Errno) in _ = try info(3) } == .invalidArgument)
    #expect(try info(4) == (1, [.eventfd, .noResize]))
  }

  @Test func accessesAcrossTheEndOfConfigurationSpace() throws {
    #expect(errno { () throws(Errno) in _ = try client.pread(device, 7, 254, 4) } == .badAddress)
    #expect(errno { () throws(Errno) in _ = try client.pread(device, 7, 256, 4) } == .badAddress)
    #expect(try client.pread(device, 7, 256, 0) == [])
    // A BAR's are short, or fail.
    #expect(try client.pread(device, 0, (1 << 20) - 4, 8).count == 4)
    #expect(
      errno { () throws(Errno) in _ = try client.pread(device, 0, 1 << 20, 4) } == .invalidArgument)
    #expect(errno { () throws(Errno) in _ = try client.pread(device, 9, 0, 0) } == .invalidArgument)
  }

  /// Function 0 says that there are others, as software looks for them only then.
  @Test func multifunction() throws {
    let (_, group, first) = try client.open(machine.vfio, 240, "0000:06:0d.0")
    let second = try client.device(group, "0000:06:0d.1")
    #expect(try client.read(first, 7, 0x0e, bytes: 1) == 0x80)
    #expect(try client.read(first, 7, 0x0c) == 0x80_0000)
    #expect(try client.read(first, 7, 0x0f, bytes: 1) == 0)
    #expect(try client.read(second, 7, 0x0e, bytes: 1) == 0)
    #expect(try client.read(device, 7, 0x0e, bytes: 1) == 0)
    let address = try #require(PCIAddress("0000:06:0d.0"))
    #expect(machine.bus.config(at: address)?[0x0e] == 0x80)
  }

  @Test func ioeventfds() throws {
    let event = EventDouble()
    let fd = client.install(.event(event))
    func call(
      _ offset: UInt64, _ fd: Int32, flags: UInt32 = 4, argsz: UInt32 = 32
    ) -> Errno? {
      var request = Mainline.IOEventFD()
      request.argsz = argsz
      request.flags = Mainline.IOEventFD.Flags(rawValue: flags)
      (request.offset, request.data, request.fd) = (offset, 1, fd)
      return errno { () throws(Errno) in
        try client.ioctl(device, Mainline.DeviceRequest.ioeventfd.rawValue, request)
      }
    }
    #expect(call(0x60, -1) == .noDevice)
    #expect(call(0x60, fd) == nil)
    #expect(call(0x60, fd) == .fileExists)
    #expect(call(0x60, fd, flags: 6) == .invalidArgument)
    #expect(call(0x60, -2) == .invalidArgument)
    #expect(call(0xffffe, fd) == .invalidArgument)
    #expect(call(7 << 40, fd) == .invalidArgument)
    #expect(call(0x60, fd, argsz: 27) == .invalidArgument)
    event.clientSignals()
    #expect(try client.read(device, 0, 0x24) == 1)
    #expect(call(0x60, -1) == nil)
    #expect(event.watchCount == 0)
  }

  @Test func features() throws {
    func call(_ flags: UInt32, wakeup: Int32? = nil) -> Errno? {
      var feature = Mainline.DeviceFeature()
      feature.argsz = wakeup == nil ? 8 : 16
      feature.flags = Mainline.DeviceFeature.Flags(rawValue: flags)
      if let wakeup {
        var entry = Mainline.LowPowerEntry()
        entry.wakeupEventfd = wakeup
        try? client.store(entry, to: ClientAddress(MemoryClient.argument + 8))
      }
      return errno { () throws(Errno) in
        try client.ioctl(device, Mainline.DeviceRequest.feature.rawValue, feature)
      }
    }
    let (get, set, probe): (UInt32, UInt32, UInt32) = (1 << 16, 1 << 17, 1 << 18)
    #expect(call(0 | probe) == .inappropriateIOCTLForDevice)
    #expect(call(3 | probe | set) == nil)
    #expect(call(3 | probe | get) == .invalidArgument)
    #expect(call(get | set) == .invalidArgument)
    #expect(call(3) == .invalidArgument)
    #expect(call(3 | set) == nil)
    #expect(call(3 | set) == .invalidArgument)
    #expect(call(5 | set) == nil)
    let event = EventDouble()
    #expect(call(4 | set, wakeup: -1) == .invalidArgument)
    #expect(call(4 | set, wakeup: client.install(.event(event))) == nil)
    // The next access wakes it, and that is told.
    _ = try client.read(device, 7, 0)
    #expect(event.take() == 1)
    _ = try client.read(device, 7, 0)
    #expect(event.take() == 0)
  }

  @Test func hotReset() throws {
    let machine = try Machine(populated: false)
    try machine.bus.add(
      PCIBridge(
        address: try #require(PCIAddress("0000:00:1e.0")), secondary: 6, vendorID: 0x8086,
        deviceID: 0x244e))
    try machine.add("0000:06:0d.0", group: 1)
    try machine.add("0000:06:0e.0", group: 2)
    try machine.add("0000:00:04.0", group: 3)
    let (container, group, device) = try client.open(machine.vfio, 1, "0000:06:0d.0")
    func info(_ fd: Int32, argsz: UInt32) throws(Errno) -> UInt32 {
      var info = Mainline.HotResetInfo()
      info.argsz = argsz
      return try client.ioctl(
        fd, Mainline.DeviceRequest.getPCIHotResetInfo.rawValue, info
      ).count
    }
    #expect(errno { () throws(Errno) in _ = try info(device, argsz: 12) } == .noSpace)
    #expect(try info(device, argsz: 28) == 2)
    func reset(_ fd: Int32, _ groups: [Int32]) -> Errno? {
      var header = Mainline.HotReset()
      (header.argsz, header.count) = (UInt32(12 + 4 * groups.count), UInt32(groups.count))
      for (i, group) in groups.enumerated() {
        try? client.store(group, to: ClientAddress(MemoryClient.argument + 12 + 4 * UInt64(i)))
      }
      return errno { () throws(Errno) in
        try client.ioctl(fd, Mainline.DeviceRequest.pciHotReset.rawValue, header)
      }
    }
    try client.write(device, 0, 4, 0x1234_5678)
    #expect(reset(device, []) == .invalidArgument)
    #expect(reset(device, [99]) == .badFileDescriptor)
    #expect(reset(device, [container]) == .invalidArgument)
    // The neighbour's group is needed too.
    #expect(reset(device, [group]) == .invalidArgument)
    let second = try client.openMainline(machine.vfio, 2)
    #expect(reset(device, [group, second]) == nil)
    #expect(try client.read(device, 0, 4) == 0)
    // Nobody resets a root bus.
    let third = try client.openMainline(machine.vfio, 3)
    try client.setContainer(third, container)
    let onRoot = try client.device(third, "0000:00:04.0")
    #expect(errno { () throws(Errno) in _ = try info(onRoot, argsz: 28) } == .noDevice)
    #expect(reset(onRoot, [third]) == .noDevice)
  }

  /// The limit of a container is the one that held when it got its IOMMU.
  @Test func entryLimit() throws {
    #expect(machine.vfio.entryLimit == 65535)
    client.space.mmap(0x20_0000, pages: 8)
    func fill(_ container: Int32) -> Int {
      (0..<8).prefix { i in
        (try? client.map(
          container, iova: 0x1000 * i, vaddr: 0x20_0000 + 0x1000 * i, size: 0x1000)) != nil
      }.count
    }
    machine.vfio.entryLimit = 2
    #expect(fill(container) == 8)
    let (other, _, _) = try client.open(machine.vfio, 242, "0000:08:00.0")
    machine.vfio.entryLimit = 3
    #expect(fill(other) == 2)
    #expect(
      errno { () throws(Errno) in
        try client.map(other, iova: 0x10000, vaddr: 0x20_0000, size: 0x1000)
      } == .noSpace)
  }

  @Test func iommuInfo() throws {
    func call(_ argsz: UInt32) throws(Errno) -> Mainline.IOMMUInfo {
      var info = Mainline.IOMMUInfo()
      info.argsz = argsz
      return try client.ioctl(container, Mainline.ContainerRequest.iommuGetInfo.rawValue, info)
    }
    #expect(errno { () throws(Errno) in _ = try call(15) } == .invalidArgument)
    #expect(try call(16).argsz == 116)
    let info = try call(4096)
    #expect(info.argsz == 4096)
    #expect(info.flags == [.pgsizes, .caps])
    #expect(info.iovaPgsizes == 0x4020_1000)
    var first: UInt32 = 0
    try client.load(&first, from: ClientAddress(MemoryClient.argument + 16))
    #expect(first == 24)
    var header: UInt64 = 0
    try client.load(&header, from: ClientAddress(MemoryClient.argument + 24))
    // Migration, version 1, the next at 56.
    #expect(header == 56 << 32 | 1 << 16 | 2)
  }

  @Test func dirtyPages() throws {
    func call(_ flags: Mainline.DirtyPages.Flags, argsz: UInt32 = 8) -> Errno? {
      var dirty = Mainline.DirtyPages()
      (dirty.argsz, dirty.flags) = (argsz, flags)
      return errno { () throws(Errno) in
        try client.ioctl(container, Mainline.ContainerRequest.iommuDirtyPages.rawValue, dirty)
      }
    }
    #expect(call([]) == .invalidArgument)
    #expect(call([.start, .stop]) == .invalidArgument)
    #expect(call(.stop) == nil)
    client.space.mmap(0x20_0000, pages: 8)
    try client.map(container, iova: 0, vaddr: 0x20_0000, size: 0x8000)
    var range = Mainline.DirtyRange()
    range.size = 0x8000
    (range.bitmap.pgsize, range.bitmap.size) = (4096, 8)
    range.bitmap.data = MemoryClient.argument + 512
    func get(_ range: Mainline.DirtyRange) -> Errno? {
      try? client.store(range, to: ClientAddress(MemoryClient.argument + 8))
      return call(.getBitmap, argsz: 48)
    }
    #expect(get(range) == .invalidArgument)
    #expect(call(.start) == nil)
    #expect(call(.start) == nil)
    #expect(get(range) == nil)
    #expect(call(.getBitmap) == .invalidArgument)
    var other = range
    other.bitmap.pgsize = 0
    #expect(get(other) == .invalidArgument)
    other = range
    other.bitmap.size = 7
    #expect(get(other) == .invalidArgument)
    other = range
    other.bitmap.data = 8
    #expect(get(other) == .badAddress)
    other = range
    other.bitmap.data = 1 << 63
    #expect(get(other) == .invalidArgument)
  }
}
