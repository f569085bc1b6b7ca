import ClientAccess
import DeviceKit
import Logging
import Synchronization
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// The platform bus and its bus driver, through a client.
struct PlatformBusTests {
  /// A model that writes down what reaches it.
  private final class Model: PlatformDeviceModel {
    let port: any PlatformDevicePort
    let log = Log()

    init(port: any PlatformDevicePort) {
      self.port = port
    }

    func read(region: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
      log.add("r\(region) \(offset) \(width.rawValue)")
      return 0x1122_3344_5566_7788
    }

    func write(region: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
      log.add("w\(region) \(offset) \(width.rawValue) \(String(value, radix: 16))")
    }

    func reset() { log.add("reset") }
    func stop() { log.add("stop") }
  }

  private let vfio: VFIO
  private let bus: PlatformBus
  private let client = MemoryClient()

  init() {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    vfio = VFIO(logger: logger)
    bus = PlatformBus(vfio: vfio, scheduler: ManualScheduler(), logger: logger)
  }

  private static let description = PlatformDeviceDescription(
    regions: [
      .init(size: 4096), .init(size: 6, isReadOnly: true), .init(size: 0),
      .init(size: 8192, isRAM: true), .init(size: 100, isRAM: true),
    ], interrupts: [.level, .edge])

  private func open(
    _ description: PlatformDeviceDescription = description
  ) throws -> (group: Int32, device: Int32, model: Model) {
    let made = Box()
    let kind = PlatformDeviceKind(name: "double", description: description) { port in
      let model = Model(port: port)
      made.model.withLock { $0 = model }
      return model
    }
    try bus.add(name: "a.double", kind: kind, group: 3, driver: .vfio)
    let group = client.install(
      .file(try vfio.openGroup(GroupID(bus: "platform", number: 3))))
    let device = try client.getDevice(group, "a.double")
    return (group, device, try #require(made.model.withLock { $0 }))
  }

  private final class Box: Sendable {
    let model = Mutex<Model?>(nil)
  }

  private func unmaskError(_ device: Int32, _ index: UInt32, _ subindex: UInt32 = 0) -> Errno? {
    errno { () throws(Errno) in
      var unmask = Draft2011.UnmaskIRQ.sized
      unmask.index = index
      unmask.subindex = subindex
      return try client.ioctl(device, .deviceUnmaskIRQ, unmask)
    }
  }

  @Test func info() throws {
    let (_, device, _) = try open()
    let info = try client.ioctl(device, .deviceGetInfo, Draft2011.DeviceInfo.sized)
    #expect(info.flags == .reset)
    #expect(info.numRegions == 5)
    #expect(info.numIRQs == 2)
    var sizes: [UInt64] = []
    var flags: [Draft2011.RegionInfo.Flags] = []
    for index: UInt32 in 0..<5 {
      var region = Draft2011.RegionInfo.sized
      region.index = index
      region = try client.ioctl(device, .deviceGetRegionInfo, region)
      #expect(region.offset == UInt64(index) << 40)
      sizes.append(region.size)
      flags.append(region.flags)
    }
    #expect(sizes == [4096, 6, 0, 8192, 100])
    // Where the client can map at all, RAM in whole pages says so.
    #expect(flags == [[], .readOnly, [], client.canMap ? .mmap : [], []])
    let kinds: [(UInt32, Draft2011.IRQInfo.Flags)] = [(0, .level), (1, [])]
    for (index, flags) in kinds {
      var irq = Draft2011.IRQInfo.sized
      irq.index = index
      irq = try client.ioctl(device, .deviceGetIRQInfo, irq)
      #expect(irq.count == 1)
      #expect(irq.flags == flags)
    }
    #expect(
      errno { () throws(Errno) in
        var region = Draft2011.RegionInfo.sized
        region.index = 5
        return try client.ioctl(device, .deviceGetRegionInfo, region)
      } == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try client.ioctl(device, 0x3b73) }
        == .inappropriateIOCTLForDevice)
  }

  @Test func registers() throws {
    let (_, device, model) = try open()
    #expect(try client.pread(device, 0, 4093, 100) == [0x88, 0x88, 0x77])
    #expect(try client.pwrite(device, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]) == 8)
    #expect(try client.pread(device, 1, 0, 100).count == 6)
    #expect(
      model.log.entries == [
        "r0 4093 1", "r0 4094 2", "w0 0 4 4030201", "w0 4 4 8070605", "r1 0 4", "r1 4 2",
      ])
    for (region, offset) in [(0, 4096), (1, 6), (2, 0), (5, 0), (0xffffff, 0)] as [(UInt32, UInt64)]
    {
      #expect(
        errno { () throws(Errno) in try client.pread(device, region, offset, 1) }
          == .invalidArgument)
      #expect(
        errno { () throws(Errno) in try client.pwrite(device, region, offset, [0]) }
          == .invalidArgument)
    }
    #expect(errno { () throws(Errno) in try client.pwrite(device, 1, 0, [0]) } == .invalidArgument)
  }

  @Test func memory() throws {
    let (_, device, model) = try open()
    try client.pwrite(device, 3, 100, [1, 2, 3, 4])
    #expect(try client.pread(device, 3, 100, 5) == [1, 2, 3, 4, 0])
    #expect(try client.pread(device, 4, 98, 5) == [0, 0])
    let memory = try #require(model.port.memory(region: 3))
    withUnsafeBytes(of: UInt32(0x0a0b_0c0d)) { memory.write(at: 8188, from: $0) }
    #expect(try client.read(device, 3, 8188) == 0x0a0b_0c0d)
    #expect(model.port.memory(region: 0) == nil)
    #expect(model.log.entries.isEmpty)
    let file = try #require(try client.file(device))
    let map = { (offset: UInt64, length: UInt64, isShared: Bool) in
      errno { () throws(Errno) in
        try file.mmap(MapRequest(offset: offset, length: length, isShared: isShared))
      }
    }
    let ram: UInt64 = 3 << 40
    #expect(map(ram, 8192, true) == nil)
    #expect(map(ram + 4096, 4096, true) == nil)
    #expect(map(ram, 8192, false) == .invalidArgument)
    #expect(map(ram, 12288, true) == .invalidArgument)
    #expect(map(ram + 8192, 1, true) == .invalidArgument)
    for region: UInt64 in [0, 1, 2, 4, 5] {
      #expect(map(region << 40, 4096, true) == .invalidArgument)
    }
  }

  @Test func levels() throws {
    let (_, device, model) = try open()
    let event = EventDouble()
    let unmask = EventDouble()
    let (fd, unmaskFD) = (client.install(.event(event)), client.install(.event(unmask)))
    #expect(unmaskError(device, 0) == .invalidArgument)
    model.port.setInterrupt(0, asserted: true)
    try client.setEventfds(device, 0, [fd])
    // It was high already.
    #expect(event.take() == 1)
    #expect(unmaskError(device, 0, 1) == .invalidArgument)
    #expect(unmaskError(device, 0) == nil)
    #expect(event.take() == 1)
    model.port.setInterrupt(0, asserted: false)
    model.port.setInterrupt(0, asserted: true)
    #expect(event.take() == 0)
    try client.setEventfds(device, 0, [unmaskFD], .deviceSetUnmaskIRQEventfds)
    #expect(
      errno { () throws(Errno) in
        try client.setEventfds(device, 0, [unmaskFD], .deviceSetUnmaskIRQEventfds)
      } == .invalidArgument)
    unmask.clientSignals()
    #expect(event.take() == 1)
    try client.setEventfds(device, 0, [])
    #expect(unmask.watchCount == 0)
    #expect(
      errno { () throws(Errno) in try client.setEventfds(device, 0, []) } == .invalidArgument)
  }

  @Test func edges() throws {
    let (_, device, model) = try open()
    let event = EventDouble()
    let fd = client.install(.event(event))
    model.port.setInterrupt(1, asserted: true)
    try client.setEventfds(device, 1, [fd])
    #expect(event.take() == 0)
    model.port.setInterrupt(1, asserted: true)
    model.port.setInterrupt(1, asserted: true)
    model.port.setInterrupt(1, asserted: false)
    #expect(event.take() == 2)
    #expect(unmaskError(device, 1) == .invalidArgument)
    #expect(
      errno { () throws(Errno) in
        try client.setEventfds(device, 1, [fd], .deviceSetUnmaskIRQEventfds)
      } == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try client.setEventfds(device, 1, [fd]) } == .invalidArgument)
    // The two know nothing of each other.
    try client.setEventfds(device, 0, [-1])
    #expect(
      errno { () throws(Errno) in try client.setEventfds(device, 2, []) } == .invalidArgument)
    // There are no more wires.
    model.port.setInterrupt(2, asserted: true)
    model.port.setInterrupt(-1, asserted: true)
  }

  @Test func closing() throws {
    let (group, device, model) = try open()
    let second = try client.getDevice(group, "a.double")
    let event = EventDouble()
    try client.setEventfds(device, 1, [client.install(.event(event))])
    client.close(device)
    #expect(model.log.entries.isEmpty)
    model.port.setInterrupt(1, asserted: true)
    #expect(event.take() == 1)
    client.close(second)
    #expect(model.log.entries == ["stop"])
    model.port.setInterrupt(1, asserted: true)
    #expect(event.take() == 0)
  }

  @Test func reset() throws {
    let (_, device, model) = try open()
    try client.ioctl(device, .deviceReset)
    #expect(model.log.entries == ["reset"])
  }

  @Test func withoutReset() throws {
    let (_, device, model) = try open(.init(regions: [], hasReset: false))
    #expect(
      errno { () throws(Errno) in try client.ioctl(device, .deviceReset) } == .invalidArgument)
    #expect(model.log.entries.isEmpty)
  }

  @Test func bindAndUnbind() throws {
    let (group, device, _) = try open()
    let isGone = Log()
    #expect(throws: BusError.self) { try bus.bind("a.double", to: .host("x")) }
    try bus.unbind("a.double") { isGone.add("unbound") }
    #expect(bus.devices.map(\.isUnbinding) == [true])
    #expect(throws: BusError.self) { try bus.unbind("a.double") }
    #expect(isGone.entries.isEmpty)
    client.close(device)
    #expect(isGone.entries == ["unbound"])
    #expect(try client.groupFlags(group) == [])
    try bus.bind("a.double", to: .host("pl330"))
    #expect(throws: BusError.self) { try bus.bind("a.double", to: .vfio) }
    try bus.unbind("a.double")
    try bus.bind("a.double", to: .vfio)
    #expect(try client.groupFlags(group) == .viable)
    try bus.remove("a.double") { isGone.add("removed") }
    #expect(isGone.entries == ["unbound", "removed"])
    #expect(bus.devices.isEmpty)
    #expect(throws: BusError.self) { try bus.remove("a.double") }
  }

  @Test func hotPlug() throws {
    let (group, device, _) = try open()
    let kind = PlatformDeviceKind(name: "double", description: .init(regions: [])) {
      Model(port: $0)
    }
    // In a group in use vfio claims it, whatever it was to be bound to.
    try bus.add(name: "b.double", kind: kind, group: 3, driver: .host("x"))
    #expect(bus.devices.map(\.driver) == [.vfio, .vfio])
    client.close(try client.getDevice(group, "b.double"))
    #expect(throws: BusError.self) {
      try bus.add(name: "b.double", kind: kind, group: 4, driver: .vfio)
    }
    client.close(device)
  }

  @Test func kindsThatCannotBe() {
    for description in [
      PlatformDeviceDescription(regions: [.init(size: 1 << 40 + 1)]),
      .init(regions: Array(repeating: .init(size: 1), count: 65)),
      .init(regions: [], interrupts: Array(repeating: .edge, count: 1025)),
    ] {
      let kind = PlatformDeviceKind(name: "none", description: description) { Model(port: $0) }
      #expect(throws: BusError.self) {
        try bus.add(name: "n", kind: kind, group: 0, driver: .vfio)
      }
    }
    #expect(vfio.groups.isEmpty)
  }

  private struct Handler: LogHandler {
    let log: Log
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      log.add("\(event.message)")
    }
  }

  @Test func faultsAreReported() throws {
    let log = Log()
    let loud = Logger(label: "test") { _ in Handler(log: log) }
    let bus = PlatformBus(vfio: vfio, scheduler: ManualScheduler(), logger: loud)
    let made = Box()
    let kind = PlatformDeviceKind(name: "double", description: Self.description) { port in
      let model = Model(port: port)
      made.model.withLock { $0 = model }
      return model
    }
    try bus.add(name: "b.double", kind: kind, group: 4, driver: .vfio)
    let model = try #require(made.model.withLock { $0 })
    #expect(model.port.dma.write(IOVA(0x1000), [1]) != nil)
    #expect(
      log.entries.contains {
        $0.contains("b.double: write of 1 bytes: no IOMMU domain is attached (IOVA 0x1000)")
      })
  }
}
