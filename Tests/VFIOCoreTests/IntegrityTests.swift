import ClientAccess
import DeviceKit
import Devices
import Synchronization
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// A group stays whole while it is used, whatever happens in the middle of a call. The bus driver's callbacks
/// run the other side of each race: the core holds no lock then.
struct IntegrityTests {
  let machine: Machine
  let vfio: VFIO
  let ops = OpsDouble()
  let client = MemoryClient()
  let one = Device(name: "one", group: GroupID(bus: "pci", number: 5))
  let two = Device(name: "two", group: GroupID(bus: "pci", number: 5))
  let six = Device(name: "six", group: GroupID(bus: "pci", number: 6))
  let five: Int32
  let sixth: Int32

  init() throws {
    machine = try Machine(populated: false)
    vfio = machine.vfio
    for device in [one, six] {
      try vfio.addDevice(device, ops: ops)
      try vfio.bindDevice(device, data: ops)
    }
    five = try client.open(vfio, 5)
    sixth = try client.open(vfio, 6)
  }

  private func during(
    _ moment: WritableKeyPath<OpsDouble.Answers, (@Sendable () -> Void)?>,
    _ body: @escaping @Sendable () throws -> Void
  ) {
    nonisolated(unsafe) let moment = moment
    ops.answers.withLock { answers in
      answers[keyPath: moment] = { [ops] in
        // Once: what it does may come back here.
        ops.answers.withLock { $0[keyPath: moment] = nil }
        do { try body() } catch { Issue.record(error) }
      }
    }
  }

  private func openError(_ name: String, _ group: Int32) -> Errno? {
    errno { () throws(Errno) in try client.getDevice(group, name) }
  }

  private func status(_ number: UInt32) -> GroupStatus? { machine.status(number) }

  // MARK: - Open against unbind

  @Test func unboundWhileItIsLookedUp() throws {
    during(\.onMatch) { [vfio, one] in try vfio.unbindDevice(one) { _ in } }
    #expect(openError("one", five) == .resourceBusy)
    #expect(ops.log.entries.isEmpty)
    #expect(status(5)?.isOwned == false)
  }

  @Test func unboundAndRemovedWhileItIsLookedUp() throws {
    during(\.onMatch) { [vfio, one] in
      vfio.deleteDevice(one)
      try vfio.unbindDevice(one) { _ in }
    }
    #expect(openError("one", five) == .operationNotSupportedByDevice)
    #expect(status(5)?.isOwned == false)
  }

  /// The open comes first, so the unbind waits for its descriptor.
  @Test func unboundWhileItIsOpened() throws {
    let log = Log()
    during(\.onOpen) { [vfio, one] in try vfio.unbindDevice(one) { _ in log.add("unbound") } }
    let device = try client.getDevice(five, "one")
    #expect(log.entries.isEmpty)
    #expect(try client.groupFlags(five) == [.viable, .mmLocked])
    client.close(device)
    #expect(log.entries == ["unbound"])
    #expect(try client.groupFlags(five) == [])
  }

  @Test func unboundWhileItsOpenFails() throws {
    let log = Log()
    ops.answers.withLock { $0.openError = .ioError }
    during(\.onOpen) { [vfio, one] in try vfio.unbindDevice(one) { _ in log.add("unbound") } }
    #expect(openError("one", five) == .ioError)
    #expect(log.entries == ["unbound"])
    #expect(status(5)?.isOwned == false)
  }

  @Test func unboundWhileItsLastDescriptorGoes() throws {
    let log = Log()
    let device = try client.getDevice(five, "one")
    during(\.onRelease) { [vfio, one] in try vfio.unbindDevice(one) { _ in log.add("unbound") } }
    client.close(device)
    #expect(ops.log.entries == ["open", "release"])
    #expect(log.entries == ["unbound"])
  }

  @Test func openedAgainWhileItsUnbindWaits() throws {
    let log = Log()
    let iommu = try client.getIOMMU(five)
    try vfio.unbindDevice(one) { _ in log.add("unbound") }
    let device = try client.getDevice(five, "one")
    client.close(iommu)
    #expect(log.entries.isEmpty)
    client.close(device)
    #expect(log.entries == ["unbound"])
  }

  /// The completion is called with no lock held, and may open the next act.
  @Test func boundAgainByTheEndOfItsUnbind() throws {
    let iommu = try client.getIOMMU(five)
    try vfio.unbindDevice(one) { [vfio, one] data in
      do { try vfio.bindDevice(one, data: data) } catch { Issue.record(error) }
    }
    client.close(iommu)
    #expect(try client.groupFlags(five) == .viable)
  }

  // MARK: - Merge against close

  @Test func theMergerIsClosedWhileADeviceOpens() throws {
    try client.merge(five, sixth)
    during(\.onOpen) { [client, five, sixth] in
      client.close(five)
      client.close(sixth)
    }
    let device = try client.getDevice(five, "six")
    #expect(status(5)?.mergedSet.map(\.number) == [5, 6])
    #expect(status(5)?.isOwned == true)
    client.close(device)
    #expect(status(5)?.mergedSet.map(\.number) == [5])
    #expect(status(5)?.isOwned == false)
  }

  @Test func theLastDescriptorClosesBetweenLookUpAndOpen() throws {
    let iommu = try client.getIOMMU(five)
    during(\.onMatch) { [client] in client.close(iommu) }
    let device = try client.getDevice(five, "one")
    #expect(try client.groupFlags(five) == [.viable, .mmLocked])
    client.close(device)
    #expect(status(5)?.isOwned == false)
  }

  @Test func somebodyElseIsQuickerBetweenLookUpAndOpen() throws {
    let stranger = MemoryClient()
    during(\.onMatch) { [vfio] in _ = try stranger.getIOMMU(try stranger.open(vfio, 5)) }
    #expect(openError("one", five) == .notPermitted)
    #expect(ops.log.entries.isEmpty)
  }

  @Test func unmergedBetweenLookUpAndOpen() throws {
    try client.merge(five, sixth)
    during(\.onMatch) { [client, sixth] in try client.ioctl(sixth, .groupUnmerge) }
    #expect(openError("six", five) == .operationNotSupportedByDevice)
    #expect(status(6)?.isOwned == false)
  }

  @Test func unmergeWhileADeviceOpens() throws {
    try client.merge(five, sixth)
    during(\.onOpen) { [client, sixth] in
      #expect(
        errno { () throws(Errno) in try client.ioctl(sixth, .groupUnmerge) } == .resourceBusy)
    }
    _ = try client.getDevice(five, "six")
    #expect(status(5)?.mergedSet.count == 2)
  }

  @Test func mergedWhileItsDeviceOpens() throws {
    during(\.onOpen) { [client, five, sixth] in
      #expect(
        errno { () throws(Errno) in try client.merge(five, sixth) } == .invalidArgument)
      // As the merger it may be.
      try client.merge(sixth, five)
    }
    _ = try client.getDevice(sixth, "six")
    #expect(status(5)?.mergedSet.map(\.number) == [5, 6])
  }

  @Test func theMergeesLastDescriptorGoesWhileAMergeIsTried() throws {
    let device = try client.getDevice(sixth, "six")
    during(\.onRelease) { [client, five, sixth] in
      // Not gone yet.
      #expect(
        errno { () throws(Errno) in try client.merge(five, sixth) } == .invalidArgument)
    }
    client.close(device)
    try client.merge(five, sixth)
  }

  /// An IOMMU that a merge opened is kept while a device's open fails, unless somebody had it meanwhile.
  @Test(arguments: [true, false])
  func aFailedOpenAfterAMerge(hadIOMMU: Bool) throws {
    try client.merge(five, sixth)
    client.space.mmap(0x20_0000, pages: 1)
    ops.answers.withLock { $0.openError = .ioError }
    during(\.onOpen) { [client, five] in
      guard hadIOMMU else { return }
      let iommu = try client.getIOMMU(five)
      try client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
      client.close(iommu)
    }
    #expect(openError("one", five) == .ioError)
    #expect(status(5)?.isOwned == !hadIOMMU)
    #expect(client.space.locked == 0)
  }

  /// A thread may close what another one is merging.
  @Test func everythingIsClosedByTheTimeOfTheMerge() throws {
    guard let merger = try client.file(five) else { return }
    // The mergee, in a table of descriptors that still has it.
    let other = MemoryClient(sharing: client.space)
    let mergee = try other.open(vfio, 6)
    try other.store(mergee, to: ClientAddress(MemoryClient.argument))
    client.close(five)
    client.close(sixth)
    guard let file = try other.file(mergee) else { return }
    file.release()
    // Both groups are closed, and the call goes on.
    _ = try merger.ioctl(
      Draft2011.Request.groupMerge.rawValue, MemoryClient.argument, from: other)
    for number: UInt32 in [5, 6] {
      #expect(status(number)?.mergedSet.map(\.number) == [number])
      #expect(status(number)?.isOwned == false)
    }
  }

  // MARK: - Hot-add against GET_DEVICE_FD

  @Test func aDeviceComesWhileAnotherIsLookedUp() throws {
    let iommu = try client.getIOMMU(five)
    ops.answers.withLock {
      $0.claim = { [vfio, ops] device throws(Errno) in
        try vfio.bindDevice(device, data: ops)
      }
    }
    during(\.onMatch) { [vfio, ops, two] in try vfio.addDevice(two, ops: ops) }
    _ = try client.getDevice(five, "one")
    #expect(ops.log.entries == ["claim two", "open"])
    client.close(iommu)
  }

  /// The group is not in use at that moment, so nobody claims; and it is not whole any more.
  @Test func aDeviceComesWhileTheFirstIsLookedUp() throws {
    during(\.onMatch) { [vfio, ops, two] in try vfio.addDevice(two, ops: ops) }
    #expect(openError("one", five) == .resourceBusy)
    #expect(ops.log.entries.isEmpty)
    #expect(status(5)?.isTainted == false)
  }

  /// In use from the moment the look-up is over: what comes while the device opens is claimed.
  @Test func aDeviceComesWhileTheFirstOpens() throws {
    during(\.onOpen) { [vfio, ops, two] in try vfio.addDevice(two, ops: ops) }
    _ = try client.getDevice(five, "one")
    #expect(ops.log.entries == ["open", "claim two"])
    #expect(status(5)?.isTainted == true)
  }

  @Test func nothingIsServedDuringTheClaim() throws {
    let iommu = try client.getIOMMU(five)
    ops.answers.withLock {
      $0.claim = { [vfio, ops, client, five, sixth] device throws(Errno) in
        for name in ["one", "two"] {
          #expect(
            errno { () throws(Errno) in try client.getDevice(five, name) } == .resourceBusy)
        }
        #expect(errno { () throws(Errno) in try client.getIOMMU(five) } == .resourceBusy)
        #expect(errno { () throws(Errno) in try client.merge(five, sixth) } == .resourceBusy)
        #expect(errno { () throws(Errno) in try client.merge(sixth, five) } == .invalidArgument)
        try vfio.bindDevice(device, data: ops)
      }
    }
    try vfio.addDevice(two, ops: ops)
    client.close(try client.getDevice(five, "two"))
    client.close(iommu)
  }

  @Test func theUserGoesDuringAClaimThatFails() throws {
    let iommu = try client.getIOMMU(five)
    ops.answers.withLock {
      $0.claim = { [client] _ throws(Errno) in
        client.close(iommu)
        throw .ioError
      }
    }
    try vfio.addDevice(two, ops: ops)
    // Out of use: nothing to taint, but it is not whole.
    #expect(status(5)?.isTainted == false)
    #expect(try client.groupFlags(five) == [])
    try vfio.bindDevice(two, data: ops)
    #expect(try client.groupFlags(five) == .viable)
  }

  @Test func removedAgainDuringItsClaim() throws {
    let iommu = try client.getIOMMU(five)
    ops.answers.withLock { $0.claim = { [vfio] device throws(Errno) in vfio.deleteDevice(device) } }
    try vfio.addDevice(two, ops: ops)
    #expect(status(5)?.isTainted == false)
    #expect(try client.groupFlags(five) == [.viable, .mmLocked])
    client.close(iommu)
  }

  // MARK: - Leaving a set in use

  @Test func aTaintEndsWhenItsGroupLeavesTheSet() throws {
    try client.merge(five, sixth)
    let iommu = try client.getIOMMU(five)
    let late = Device(name: "late", group: six.group)
    try vfio.addDevice(late, ops: ops)
    #expect(status(6)?.isTainted == true)
    try vfio.bindDevice(late, data: ops)
    #expect(try client.groupFlags(five) == .mmLocked)
    try client.ioctl(sixth, .groupUnmerge)
    #expect(status(6)?.isTainted == false)
    #expect(try client.groupFlags(five) == [.viable, .mmLocked])
    #expect(try client.groupFlags(sixth) == .viable)
    client.close(iommu)
  }

  @Test func anUnbindThatWaitsIsCarriedOutWhenItsGroupLeavesTheSet() throws {
    try client.merge(five, sixth)
    let iommu = try client.getIOMMU(five)
    let log = Log()
    try vfio.unbindDevice(six) { _ in log.add("unbound") }
    try vfio.unbindDevice(one) { _ in log.add("too early") }
    #expect(log.entries.isEmpty)
    try client.ioctl(sixth, .groupUnmerge)
    #expect(log.entries == ["unbound"])
    client.close(iommu)
  }

  // MARK: - Drivers of the host

  @Test func aHostDriverMayTakeWhatNobodyUses() throws {
    try vfio.addDevice(two, ops: ops)
    try vfio.hostTakes(two)
    #expect(errno { () throws(Errno) in try vfio.hostTakes(one) } == .resourceBusy)
    vfio.deleteDevice(two)
    #expect(
      errno { () throws(Errno) in try vfio.hostTakes(two) }
        == .operationNotSupportedByDevice)
  }

  @Test func aHostDriverMayNotTakeADeviceOfAGroupInUse() throws {
    let iommu = try client.getIOMMU(five)
    ops.answers.withLock {
      $0.claim = { [vfio] device throws(Errno) in
        #expect(errno { () throws(Errno) in try vfio.hostTakes(device) } == .resourceBusy)
        throw .ioError
      }
    }
    try vfio.addDevice(two, ops: ops)
    #expect(errno { () throws(Errno) in try vfio.hostTakes(two) } == .resourceBusy)
    client.close(iommu)
    try vfio.hostTakes(two)
  }

  /// The same by the PCI bus: neither in the middle of the plugging-in nor after a claim that failed.
  @Test func aHostDriverOnThePCIBus() throws {
    try machine.add("0000:06:0d.0", group: 240)
    let group = try client.open(vfio, 240)
    let iommu = try client.getIOMMU(group)
    let late = try #require(PCIAddress("0000:06:0d.1"))
    let log = Log()
    try machine.bus.add(address: late, kind: Edu.kind, group: 240, driver: .host("edu"))
    func bind(_ driver: PCIBus.Driver) {
      do throws(BusError) { try machine.bus.bind(late, to: driver) } catch {
        log.add("\(error.errno)")
      }
    }
    bind(.host("edu"))
    try machine.bus.unbind(late)
    bind(.host("edu"))
    client.close(iommu)
    #expect(log.entries == [String](repeating: "\(Errno.resourceBusy)", count: 2))
    bind(.host("edu"))
    #expect(machine.bus.function(at: late)?.driver == .host("edu"))
    #expect(try client.groupFlags(group) == [])
  }
}
