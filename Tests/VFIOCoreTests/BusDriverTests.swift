import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// The document's "VFIO bus driver API", with a bus driver of the test's own.
struct BusDriverTests {
  let vfio: VFIO
  let ops = OpsDouble()
  let client = MemoryClient()
  let first = Device(name: "one", group: GroupID(bus: "pci", number: 5))
  let second = Device(name: "two", group: GroupID(bus: "pci", number: 5))

  init() throws {
    vfio = try Machine(populated: false).vfio
  }

  private func addAndBind(_ device: Device) throws {
    try vfio.addDevice(device, ops: ops)
    try vfio.bindDevice(device, data: ops)
  }

  // MARK: - Groups come and go

  @Test func theFirstDeviceMakesTheGroup() throws {
    let log = Log()
    vfio.observeGroups { log.add("\($0)") }
    try vfio.addDevice(first, ops: ops)
    try vfio.addDevice(second, ops: ops)
    #expect(vfio.groups.map(\.id.description) == ["pci:5"])
    #expect(vfio.groups.first?.members.map(\.device.name) == ["one", "two"])
    vfio.deleteDevice(first)
    #expect(log.entries.count == 1)
    vfio.deleteDevice(second)
    #expect(vfio.groups.isEmpty)
    #expect(
      log.entries == [
        "\(GroupEvent.appeared(first.group))", "\(GroupEvent.vanished(first.group))",
      ])
  }

  @Test func observersLearnOfWhatIsThere() throws {
    try vfio.addDevice(first, ops: ops)
    let log = Log()
    vfio.observeGroups { log.add("\($0)") }
    #expect(log.entries == ["\(GroupEvent.appeared(first.group))"])
  }

  @Test func observersMayCallBack() throws {
    let log = Log()
    vfio.observeGroups { [vfio, ops] event in
      log.add("\(event)")
      if event == .appeared(GroupID(bus: "pci", number: 5)) {
        let device = Device(name: "six", group: GroupID(bus: "pci", number: 6))
        _ = errno { () throws(Errno) in try vfio.addDevice(device, ops: ops) }
      }
    }
    try vfio.addDevice(first, ops: ops)
    #expect(log.entries.count == 2)
  }

  /// While an observer is busy, a group that comes and goes leaves nothing to tell of.
  @Test func onlyTheNetChangeWaits() throws {
    let log = Log()
    let five = first.group
    vfio.observeGroups { [vfio, ops, first] event in
      log.add("\(event)")
      guard event == .appeared(five), log.entries.count == 1 else { return }
      let six = Device(name: "six", group: GroupID(bus: "pci", number: 6))
      for _ in 0..<1000 {
        _ = errno { () throws(Errno) in try vfio.addDevice(six, ops: ops) }
        vfio.deleteDevice(six)
        // One that it knows: it hears that another is in its place.
        vfio.deleteDevice(first)
        _ = errno { () throws(Errno) in try vfio.addDevice(first, ops: ops) }
      }
    }
    try vfio.addDevice(first, ops: ops)
    #expect(
      log.entries == [
        "\(GroupEvent.appeared(five))", "\(GroupEvent.vanished(five))",
        "\(GroupEvent.appeared(five))",
      ])
  }

  @Test func sameNumberOnAnotherBusIsAnotherGroup() throws {
    try vfio.addDevice(first, ops: ops)
    let other = Device(name: "one", group: GroupID(bus: "platform", number: 5))
    try vfio.addDevice(other, ops: ops)
    #expect(vfio.groups.map(\.id.description) == ["pci:5", "platform:5"])
  }

  @Test func namesAreUniqueOnABus() throws {
    try vfio.addDevice(first, ops: ops)
    let again = Device(name: "one", group: GroupID(bus: "pci", number: 6))
    for device in [first, again] {
      #expect(errno { () throws(Errno) in try vfio.addDevice(device, ops: ops) } == .fileExists)
    }
    #expect(vfio.groups.count == 1)
  }

  @Test func anOpenGroupOutlivesItsDevices() throws {
    try vfio.addDevice(first, ops: ops)
    let group = try client.open(vfio, 5)
    vfio.deleteDevice(first)
    #expect(vfio.groups.count == 1)
    client.close(group)
    #expect(vfio.groups.isEmpty)
  }

  @Test func aBoundDeviceGoesAfterItsUnbind() throws {
    try addAndBind(first)
    vfio.deleteDevice(first)
    #expect(vfio.groups.first?.members.count == 1)
    try vfio.unbindDevice(first) { _ in }
    #expect(vfio.groups.isEmpty)
  }

  // MARK: - Binding

  @Test func bindOfADeviceNeverAdded() {
    #expect(
      errno { () throws(Errno) in try vfio.bindDevice(first, data: ops) } == .invalidArgument)
  }

  @Test func bindTwice() throws {
    try addAndBind(first)
    #expect(
      errno { () throws(Errno) in try vfio.bindDevice(first, data: ops) } == .resourceBusy)
  }

  @Test func unbindReturnsTheData() throws {
    try addAndBind(first)
    let log = Log()
    try vfio.unbindDevice(first) { [ops] data in log.add("\(data === ops)") }
    #expect(log.entries == ["true"])
    #expect(vfio.groups.first?.members.first?.isBound == false)
    #expect(
      errno { () throws(Errno) in try vfio.unbindDevice(first) { _ in } } == .invalidArgument)
  }

  @Test func unbindWaitsWhileTheSetIsInUse() throws {
    try addAndBind(first)
    try addAndBind(second)
    let group = try client.open(vfio, 5)
    let iommu = try client.getIOMMU(group)
    let device = try client.getDevice(group, "two")
    let log = Log()
    try vfio.unbindDevice(first) { [ops] data in log.add("\(data === ops)") }
    #expect(
      errno { () throws(Errno) in try vfio.unbindDevice(first) { _ in } } == .resourceBusy)
    // Nothing has changed for the group so far.
    #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    client.close(device)
    #expect(log.entries.isEmpty)
    client.close(iommu)
    #expect(log.entries == ["true"])
    #expect(try client.groupFlags(group) == [])
  }

  @Test func unbindAndDeleteWhileInUse() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    let iommu = try client.getIOMMU(group)
    client.close(group)
    vfio.deleteDevice(first)
    let log = Log()
    try vfio.unbindDevice(first) { _ in log.add("unbound") }
    #expect(vfio.groups.count == 1)
    client.close(iommu)
    #expect(log.entries == ["unbound"])
    #expect(vfio.groups.isEmpty)
  }

  // MARK: - Device operations

  @Test func matchIsTheBusDriversBusiness() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    let device = try client.getDevice(group, "any")
    #expect(try client.ioctl(device, 0x9999, 3) == 7)
    #expect(try client.pread(device, 1, 2, 4).count == 4)
    #expect(try client.pwrite(device, 1, 2, [1, 2, 3]) == 3)
    let file = try #require(try client.file(device))
    #expect(
      errno { () throws(Errno) in
        try file.mmap(MapRequest(offset: 8, length: 1, isShared: true))
      } == .invalidArgument)
    client.close(device)
    #expect(
      ops.log.entries == [
        "open", "ioctl 39321 3", "read 1099511627778 4", "write 1099511627778 3", "mmap 8",
        "release",
      ])
  }

  @Test func openIsCalledForEachDescriptor() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    let one = try client.getDevice(group, "one")
    let two = try client.getDevice(group, "one")
    client.close(one)
    client.close(two)
    #expect(ops.log.entries == ["open", "open", "release", "release"])
  }

  @Test func aFailedOpenGivesItsErrnoAndLeavesNothingOpen() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    ops.answers.withLock { $0.openError = .ioError }
    #expect(errno { () throws(Errno) in try client.getDevice(group, "one") } == .ioError)
    #expect(try client.groupFlags(group) == .viable)
    #expect(vfio.groups.first?.members.first?.openCount == 0)
    #expect(ops.log.entries == ["open"])
  }

  @Test func aFailedOpenLeavesTheOwnerThatAMergeMade() throws {
    try addAndBind(first)
    let other = Device(name: "six", group: GroupID(bus: "pci", number: 6))
    try addAndBind(other)
    let group = try client.open(vfio, 5)
    try client.merge(group, try client.open(vfio, 6))
    ops.answers.withLock { $0.openError = .ioError }
    #expect(errno { () throws(Errno) in try client.getDevice(group, "six") } == .ioError)
    #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    ops.answers.withLock { $0.openError = nil }
    client.close(try client.getDevice(group, "six"))
    #expect(try client.groupFlags(group) == .viable)
  }

  // MARK: - Claim

  @Test func noClaimWhenTheGroupIsNotInUse() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    try vfio.addDevice(second, ops: ops)
    #expect(ops.log.entries.isEmpty)
    #expect(try client.groupFlags(group) == [])
  }

  @Test func aDeviceAddedInUseIsClaimed() throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    let iommu = try client.getIOMMU(group)
    ops.answers.withLock {
      $0.claim = { [vfio, ops, client] device throws(Errno) in
        // Unbound so far: nobody is served.
        #expect(try client.groupFlags(group) == .mmLocked)
        #expect(errno { () throws(Errno) in try client.getIOMMU(group) } == .resourceBusy)
        try vfio.bindDevice(device, data: ops)
      }
    }
    let port = DomainPort()
    try vfio.addDevice(second, ops: ops, port: port)
    #expect(ops.log.entries == ["claim two"])
    #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    _ = try client.getDevice(group, "two")
    // And reaches what is mapped.
    client.space.mmap(0x20_0000, pages: 1)
    try client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
    #expect(port.write(IOVA(0), [0x42]) == nil)
    #expect(client.space.peek(0x20_0000) == 0x42)
  }

  @Test(arguments: [true, false])
  func aFailedClaimTaints(byError: Bool) throws {
    try addAndBind(first)
    let group = try client.open(vfio, 5)
    let iommu = try client.getIOMMU(group)
    ops.answers.withLock {
      $0.claim = { _ throws(Errno) in if byError { throw .ioError } }
    }
    try vfio.addDevice(second, ops: ops)
    #expect(vfio.groups.first?.isTainted == true)
    #expect(try client.groupFlags(group) == .mmLocked)
    #expect(errno { () throws(Errno) in try client.getIOMMU(group) } == .resourceBusy)
    // Bound later, it stays tainted as long as it is in use.
    try vfio.bindDevice(second, data: ops)
    #expect(try client.groupFlags(group) == .mmLocked)
    client.close(iommu)
    #expect(try client.groupFlags(group) == .viable)
  }

  @Test func anyGroupOfASetInUseClaims() throws {
    try addAndBind(first)
    let other = Device(name: "six", group: GroupID(bus: "pci", number: 6))
    try addAndBind(other)
    let group = try client.open(vfio, 5)
    try client.merge(group, try client.open(vfio, 6))
    _ = try client.getIOMMU(group)
    try vfio.addDevice(Device(name: "seven", group: other.group), ops: ops)
    #expect(ops.log.entries == ["claim seven"])
  }

  @Test func claimDefaultsToFailure() {
    let quiet = QuietOps()
    #expect(errno { () throws(Errno) in try quiet.claim(first) } == .notSupportedOnSocket)
  }
}

/// A bus driver of a bus without hot-plug.
private final class QuietOps: DeviceOps {
  func match(_ device: Device, _ string: String) -> Bool { false }
  func open(_ data: DeviceData) {}
  func release(_ data: DeviceData) {}

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) -> Int { 0 }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) -> Int { 0 }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) -> IoctlResult { .value(0) }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    throw .invalidArgument
  }
}
