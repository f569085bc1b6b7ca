import ClientAccess
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

struct MergeTests {
  let machine: Machine
  let client = MemoryClient()
  let a: Int32
  let b: Int32
  let c: Int32

  init() throws {
    machine = try Machine()
    a = try client.open(machine.vfio, 240)
    b = try client.open(machine.vfio, 241)
    c = try client.open(machine.vfio, 242)
  }

  private func mergeError(_ merger: Int32, _ mergee: Int32) -> Errno? {
    errno { () throws(Errno) in try client.merge(merger, mergee) }
  }

  private func unmergeError(_ group: Int32) -> Errno? {
    errno { () throws(Errno) in try client.ioctl(group, .groupUnmerge) }
  }

  private func set(_ number: UInt32) -> [UInt32] {
    machine.status(number)?.mergedSet.map(\.number) ?? []
  }

  // MARK: - Refusals

  @Test func badArguments() throws {
    #expect(
      errno { () throws(Errno) in try client.ioctl(a, .groupMerge, 0) } == .badAddress)
    #expect(
      errno { () throws(Errno) in try client.ioctl(a, .groupMerge, 0x10_0ffe) } == .badAddress)
    #expect(mergeError(a, -1) == .invalidArgument)
    #expect(mergeError(a, .min) == .invalidArgument)
    #expect(mergeError(a, 99) == .badFileDescriptor)
    #expect(mergeError(a, client.install(.other)) == .invalidArgument)
    #expect(mergeError(a, client.install(.event(EventDouble()))) == .invalidArgument)
    #expect(mergeError(a, a) == .invalidArgument)
    #expect(mergeError(a, try client.open(machine.vfio, 240)) == .invalidArgument)
    let iommu = try client.getIOMMU(c)
    #expect(mergeError(a, iommu) == .invalidArgument)
    #expect(set(240) == [240])
    #expect(try client.groupFlags(a) == .viable)
  }

  @Test func groupOfAnotherMachine() throws {
    let other = try Machine()
    #expect(mergeError(a, try client.open(other.vfio, 241)) == .invalidArgument)
  }

  @Test func groupOfAnotherBus() throws {
    let device = Device(name: "uart", group: GroupID(bus: "platform", number: 1))
    let ops = OpsDouble()
    try machine.vfio.addDevice(device, ops: ops)
    try machine.vfio.bindDevice(device, data: ops)
    let file = try machine.vfio.openGroup(device.group)
    #expect(mergeError(a, client.install(.file(file))) == .invalidArgument)
  }

  @Test func mergeeInUse() throws {
    let iommu = try client.getIOMMU(b)
    #expect(mergeError(a, b) == .invalidArgument)
    client.close(iommu)
    let device = try client.getDevice(b, "0000:07:00.0")
    #expect(mergeError(a, b) == .invalidArgument)
    client.close(device)
    #expect(mergeError(a, b) == nil)
  }

  @Test func alreadyMerged() throws {
    try client.merge(a, b)
    #expect(mergeError(a, b) == .invalidArgument)
    #expect(mergeError(b, a) == .invalidArgument)
  }

  @Test func notViable() throws {
    try machine.add("0000:07:00.1", group: 241, driver: .host("x"))
    #expect(mergeError(a, b) == .resourceBusy)
    #expect(mergeError(b, a) == .resourceBusy)
    #expect(set(240) == [240])
    #expect(set(241) == [241])
    #expect(machine.status(240)?.isOwned == false)
  }

  @Test func refusedWhileInUseComesBeforeViability() throws {
    let iommu = try client.getIOMMU(b)
    try machine.add("0000:06:0d.2", group: 240, driver: .none)
    #expect(mergeError(a, b) == .invalidArgument)
    client.close(iommu)
  }

  @Test func aSetThatSomebodyElseMergedIsRefused() throws {
    let stranger = MemoryClient()
    let theirs = try stranger.open(machine.vfio, 241)
    try stranger.merge(theirs, try stranger.open(machine.vfio, 242))
    #expect(mergeError(a, b) == .notPermitted)
    #expect(set(241) == [241, 242])
  }

  // MARK: - What a merge does

  @Test func opensTheIOMMU() throws {
    try client.merge(a, b)
    for group in [a, b] {
      #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    }
    let stranger = MemoryClient()
    for number: UInt32 in [240, 241] {
      let theirs = try stranger.open(machine.vfio, number)
      #expect(errno { () throws(Errno) in try stranger.getIOMMU(theirs) } == .notPermitted)
    }
  }

  @Test func anyGroupReachesAnyDevice() throws {
    try client.merge(a, b)
    for group in [a, b] {
      for name in ["0000:06:0d.0", "0000:06:0d.1", "0000:07:00.0"] {
        client.close(try client.getDevice(group, name))
      }
    }
  }

  @Test func anyGroupReachesTheSameIOMMU() throws {
    client.space.mmap(0x20_0000, pages: 1)
    try client.merge(a, b)
    let first = try client.getIOMMU(a)
    let second = try client.getIOMMU(b)
    try client.mapDMA(first, iova: 0, vaddr: 0x20_0000, size: 4096)
    #expect(
      errno { () throws(Errno) in
        try client.mapDMA(second, iova: 0, vaddr: 0x20_0000, size: 4096)
      } == .resourceBusy)
    // The object outlives the descriptor that made it.
    client.close(first)
    try client.unmapDMA(second, iova: 0, size: 4096)
    #expect(client.space.locked == 0)
  }

  @Test func mergerMayBeInUse() throws {
    client.space.mmap(0x20_0000, pages: 1)
    let iommu = try client.getIOMMU(a)
    try client.mapDMA(iommu, iova: 0x5000, vaddr: 0x20_0000, size: 4096)
    try client.merge(a, b)
    // The added group's device reaches what was mapped before.
    let device = try client.getDevice(b, "0000:07:00.0")
    client.space.poke(0x20_0000, [0x42])
    try client.runDMA(machine, device, source: 0x5000, destination: 0x40000, command: 1)
    try client.runDMA(machine, device, source: 0x40000, destination: 0x5008, command: 3)
    #expect(client.space.peek(0x20_0008) == 0x42)
  }

  @Test func makesNoNode() throws {
    let log = Log()
    machine.vfio.observeGroups { log.add("\($0)") }
    let before = log.entries.count
    try client.merge(a, b)
    try client.ioctl(b, .groupUnmerge)
    #expect(log.entries.count == before)
  }

  @Test func mergesTheWholeSet() throws {
    try client.merge(b, c)
    try client.merge(a, b)
    #expect(set(242) == [240, 241, 242])
    _ = try client.getDevice(a, "0000:08:00.0")
  }

  @Test func viabilityIsTheSets() throws {
    try client.merge(a, b)
    try machine.add("0000:07:00.1", group: 241, driver: .none)
    #expect(try client.groupFlags(a) == .mmLocked)
    #expect(errno { () throws(Errno) in try client.getIOMMU(a) } == .resourceBusy)
  }

  // MARK: - Unmerge

  @Test func unmergeOfASingleGroup() {
    #expect(unmergeError(a) == .invalidArgument)
  }

  @Test func unmergeWithAnOpenDevice() throws {
    try client.merge(a, b)
    let device = try client.getDevice(a, "0000:07:00.0")
    #expect(unmergeError(b) == .resourceBusy)
    client.close(device)
    try client.merge(a, c)
    #expect(unmergeError(b) == nil)
    #expect(set(240) == [240, 242])
  }

  @Test func unmergeLeavesTheMappingsWithTheRest() throws {
    client.space.mmap(0x20_0000, pages: 1)
    try client.merge(a, b)
    let iommu = try client.getIOMMU(b)
    try client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
    let device = try client.getDevice(b, "0000:06:0d.0")
    #expect(unmergeError(b) == nil)
    #expect(set(241) == [241])
    #expect(try client.groupFlags(b) == .viable)
    #expect(try client.groupFlags(a) == [.viable, .mmLocked])
    #expect(client.space.locked == 4096)
    client.space.poke(0x20_0000, [0x42])
    try client.runDMA(machine, device, source: 0, destination: 0x40000, command: 1)
    try client.runDMA(machine, device, source: 0x40000, destination: 8, command: 3)
    #expect(client.space.peek(0x20_0008) == 0x42)
    // The group that left has an IOMMU of its own, in which nothing is mapped.
    let left = try client.getDevice(b, "0000:07:00.0")
    #expect(
      errno { () throws(Errno) in try client.getDevice(b, "0000:06:0d.0") }
        == .operationNotSupportedByDevice)
    try client.runDMA(machine, left, source: 0, destination: 0x40000, command: 1)
    try client.runDMA(machine, left, source: 0x40000, destination: 0x10, command: 3)
    #expect(client.space.peek(0x20_0010) == 0)
    client.close(left)
    #expect(client.space.locked == 4096)
  }

  @Test func mergerCanLeave() throws {
    try client.merge(a, b)
    let iommu = try client.getIOMMU(a)
    #expect(unmergeError(a) == nil)
    #expect(try client.groupFlags(a) == .viable)
    #expect(try client.groupFlags(b) == [.viable, .mmLocked])
    #expect(unmergeError(b) == .invalidArgument)
    client.close(iommu)
    #expect(try client.groupFlags(b) == .viable)
  }

  @Test func unmergedToSingleGroupsNobodyOwnsThem() throws {
    try client.merge(a, b)
    #expect(unmergeError(b) == nil)
    #expect(try client.groupFlags(a) == .viable)
    #expect(try client.groupFlags(b) == .viable)
  }

  // MARK: - The end of a set

  @Test func closingTheIOMMUKeepsTheSetButNotTheOwner() throws {
    try client.merge(a, b)
    client.close(try client.getIOMMU(a))
    #expect(set(240) == [240, 241])
    #expect(try client.groupFlags(b) == .viable)
    let stranger = MemoryClient()
    _ = try stranger.getDevice(try stranger.open(machine.vfio, 240), "0000:07:00.0")
    #expect(machine.status(241)?.isOwned == true)
  }

  @Test func dissolvesWhenNobodyHasAnyOfItOpen() throws {
    try client.merge(a, b)
    client.close(a)
    #expect(set(240) == [240, 241])
    client.close(b)
    #expect(set(240) == [240])
    #expect(set(241) == [241])
    #expect(machine.status(240)?.isOwned == false)
    #expect(machine.status(241)?.isOwned == false)
  }

  @Test func staysMergedForADeviceDescriptor() throws {
    try client.merge(a, b)
    let device = try client.getDevice(a, "0000:07:00.0")
    client.close(a)
    client.close(b)
    #expect(set(240) == [240, 241])
    #expect(machine.status(240)?.isOwned == true)
    client.close(device)
    #expect(set(240) == [240])
    #expect(machine.status(240)?.isOwned == false)
  }
}

extension MemoryClient {
  /// Lets an edu move 4 bytes.
  func runDMA(
    _ machine: Machine, _ device: Int32, source: UInt64, destination: UInt64, command: UInt64
  ) throws(Errno) {
    try write(device, 7, 4, 0x107, bytes: 2)
    try write(device, 0, 0x80, source)
    try write(device, 0, 0x88, destination)
    try write(device, 0, 0x90, 4)
    try write(device, 0, 0x98, command)
    machine.scheduler.advance(by: .milliseconds(100))
  }
}
