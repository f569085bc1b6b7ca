import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// What the platform lets be merged, and merging that nobody asks for.
struct MergingTests {
  private static func pci(_ number: UInt32) -> VFIOCore.GroupID {
    VFIOCore.GroupID(bus: "pci", number: number)
  }

  private let client = MemoryClient()

  private func open(_ machine: Machine) throws -> (a: Int32, b: Int32, c: Int32) {
    (
      try client.open(machine.vfio, 240), try client.open(machine.vfio, 241),
      try client.open(machine.vfio, 242)
    )
  }

  private func set(_ machine: Machine, _ number: UInt32) -> [UInt32] {
    machine.status(number)?.mergedSet.map(\.number) ?? []
  }

  // MARK: - Policies

  @Test func aPlatformWithoutMerging() throws {
    let machine = try Machine(merging: Merging(policy: .never))
    let (a, b, _) = try open(machine)
    #expect(errno { () throws(Errno) in try client.merge(a, b) } == .invalidArgument)
    #expect(set(machine, 240) == [240])
    #expect(try client.groupFlags(a) == .viable)
    // The user manages the groups independently.
    let iommus = [try client.getIOMMU(a), try client.getIOMMU(b)]
    client.space.mmap(0x20_0000, pages: 1)
    for iommu in iommus {
      try client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
    }
    #expect(errno { () throws(Errno) in try client.merge(a, b) } == .invalidArgument)
  }

  @Test(arguments: Merging.Policy.allCases)
  func groupsThatDifferInCoherency(policy: Merging.Policy) throws {
    let machine = try Machine(
      merging: Merging(policy: policy, noncoherent: [Self.pci(241), Self.pci(242)]))
    let (a, b, c) = try open(machine)
    let isRefused = policy != .any
    let iommu = try client.getIOMMU(a)
    #expect(
      errno { () throws(Errno) in try client.merge(a, b) } == (isRefused ? .invalidArgument : nil))
    #expect(set(machine, 240) == (isRefused ? [240] : [240, 241]))
    client.close(iommu)
    // Alike in being not coherent.
    if policy != .any {
      #expect(
        errno { () throws(Errno) in try client.merge(b, c) }
          == (policy == .never ? .invalidArgument : nil))
      #expect(set(machine, 241) == (policy == .never ? [241] : [241, 242]))
    }
  }

  /// The draft's implementation opens both IOMMUs before it compares them.
  @Test func aGroupThatIsNotViableIsRefusedForThat() throws {
    let machine = try Machine(merging: Merging(policy: .never))
    let (a, b, _) = try open(machine)
    try machine.add("0000:07:00.1", group: 241, driver: .none)
    #expect(errno { () throws(Errno) in try client.merge(a, b) } == .resourceBusy)
  }

  @Test func aRefusalOpensNoIOMMU() throws {
    let machine = try Machine(merging: Merging(noncoherent: [Self.pci(241)]))
    let (a, b, _) = try open(machine)
    #expect(errno { () throws(Errno) in try client.merge(a, b) } == .invalidArgument)
    #expect(machine.status(240)?.isOwned == false)
    let stranger = MemoryClient()
    _ = try stranger.getIOMMU(try stranger.open(machine.vfio, 240))
  }

  // MARK: - Automatic merging

  @Test func nothingIsMergedUnlessAsked() throws {
    let machine = try Machine()
    let (a, b, _) = try open(machine)
    _ = try client.getIOMMU(a)
    _ = try client.getDevice(b, "0000:07:00.0")
    #expect(set(machine, 240) == [240])
  }

  @Test(arguments: [true, false])
  func aGroupJoinsBeforeItsFirstDescriptor(byDevice: Bool) throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let (a, b, c) = try open(machine)
    client.space.mmap(0x20_0000, pages: 1)
    client.space.poke(0x20_0000, [0x42])
    let iommu = try client.getIOMMU(a)
    #expect(set(machine, 240) == [240])
    try client.mapDMA(iommu, iova: 0x5000, vaddr: 0x20_0000, size: 4096)
    if byDevice {
      // The mapping is there before the device is.
      let device = try client.getDevice(b, "0000:07:00.0")
      try client.runDMA(machine, device, source: 0x5000, destination: 0x40000, command: 1)
      try client.runDMA(machine, device, source: 0x40000, destination: 0x5008, command: 3)
      #expect(client.space.peek(0x20_0008) == 0x42)
    } else {
      let same = try client.getIOMMU(b)
      #expect(
        errno { () throws(Errno) in
          try client.mapDMA(same, iova: 0x5000, vaddr: 0x20_0000, size: 4096)
        } == .resourceBusy)
    }
    #expect(set(machine, 240) == [240, 241])
    // Any number of groups, whichever of them is asked.
    _ = try client.getDevice(c, "0000:06:0d.1")
    #expect(set(machine, 242) == [240, 241, 242])
  }

  @Test func aNameThatNothingMatchesMergesNothing() throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let (a, b, _) = try open(machine)
    _ = try client.getIOMMU(a)
    #expect(
      errno { () throws(Errno) in try client.getDevice(b, "x") }
        == .operationNotSupportedByDevice)
    #expect(set(machine, 240) == [240])
  }

  @Test func whatCannotBeMergedStaysIndependent() throws {
    let machine = try Machine(
      merging: Merging(noncoherent: [Self.pci(241)], isAutomatic: true))
    let (a, b, c) = try open(machine)
    _ = try client.getIOMMU(a)
    let apart = try client.getIOMMU(b)
    client.space.mmap(0x20_0000, pages: 1)
    try client.mapDMA(apart, iova: 0, vaddr: 0x20_0000, size: 4096)
    _ = try client.getIOMMU(c)
    #expect(set(machine, 241) == [241])
    #expect(set(machine, 242) == [240, 242])
  }

  @Test func anotherUsersGroupsAreNotJoined() throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let (a, _, _) = try open(machine)
    _ = try client.getIOMMU(a)
    let stranger = MemoryClient()
    _ = try stranger.getIOMMU(try stranger.open(machine.vfio, 241))
    #expect(set(machine, 240) == [240])
    #expect(set(machine, 241) == [241])
  }

  @Test func anotherBusIsNotJoined() throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let (a, _, _) = try open(machine)
    _ = try client.getIOMMU(a)
    let device = Device(name: "uart", group: VFIOCore.GroupID(bus: "platform", number: 1))
    let ops = OpsDouble()
    try machine.vfio.addDevice(device, ops: ops)
    try machine.vfio.bindDevice(device, data: ops)
    let group = client.install(.file(try machine.vfio.openGroup(device.group)))
    _ = try client.getDevice(group, "uart")
    #expect(set(machine, 240) == [240])
  }

  @Test func aSetThatIsNotViableIsNotJoined() throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let ops = OpsDouble()
    let (a, b, _) = try open(machine)
    _ = try client.getIOMMU(a)
    // Not claimed: 240 is tainted.
    try machine.vfio.addDevice(Device(name: "new", group: Self.pci(240)), ops: ops)
    _ = try client.getIOMMU(b)
    #expect(set(machine, 241) == [241])
  }

  /// Unless it is closed: who opens it then knows nothing of that.
  @Test func aGroupThatWasTakenOutStaysApart() throws {
    let machine = try Machine(merging: Merging(isAutomatic: true))
    let (a, b, _) = try open(machine)
    _ = try client.getIOMMU(a)
    client.close(try client.getIOMMU(b))
    #expect(set(machine, 240) == [240, 241])
    try client.ioctl(b, .groupUnmerge)
    client.close(try client.getIOMMU(b))
    #expect(set(machine, 240) == [240])
    client.close(b)
    _ = try client.getIOMMU(try client.open(machine.vfio, 241))
    #expect(set(machine, 240) == [240, 241])
  }

  /// The group lost its match, or the set it was to join, while the bus driver was asked.
  @Test func theSetToJoinMayGoMeanwhile() throws {
    let machine = try Machine(populated: false, merging: Merging(isAutomatic: true))
    let ops = OpsDouble()
    for (name, group) in [("one", 1), ("two", 2)] as [(String, UInt32)] {
      let device = Device(name: name, group: Self.pci(group))
      try machine.vfio.addDevice(device, ops: ops)
      try machine.vfio.bindDevice(device, data: ops)
    }
    let first = try client.open(machine.vfio, 1)
    let second = try client.open(machine.vfio, 2)
    let iommu = try client.getIOMMU(first)
    ops.answers.withLock {
      $0.onMatch = { [client, ops] in
        ops.answers.withLock { $0.onMatch = nil }
        client.close(iommu)
      }
    }
    let error = errno { () throws(Errno) in try client.getDevice(second, "one") }
    #expect(error == .operationNotSupportedByDevice)
    #expect(machine.status(1)?.isOwned == false)
    #expect(machine.status(2)?.isOwned == false)
    #expect(set(machine, 1) == [1])
  }
}
