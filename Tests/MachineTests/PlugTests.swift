import Control
import DeviceKit
import Logging
import SystemPackage
import TestSupport
import Testing
import VFIOCore

@testable import vfio_cused

/// Plugging in and out while the machine runs, on the document's.
struct PlugTests {
  let machine: Machine

  init() throws {
    machine = try Machine(
      try MachineOptions.parse([]), scheduler: ManualScheduler(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  private func device(
    _ name: String, group: UInt32? = nil, driver: Topology.Driver = .vfio
  ) throws -> Topology.Slot {
    let address = try #require(PCIAddress(name))
    return .device(Topology.Device(address: address, model: "edu", group: group, driver: driver))
  }

  private func topology(
    _ slots: [Topology.Slot], isCacheCoherent: Bool = true, platform: [String] = []
  ) -> Topology {
    Topology(
      buses: [
        Topology.RootBus(
          address: PCIBusAddress(domain: 1, bus: 0), isCacheCoherent: isCacheCoherent,
          slots: slots)
      ],
      platform: Topology.PlatformBus(
        isCacheCoherent: isCacheCoherent,
        devices: platform.map { Topology.PlatformDevice(name: $0, model: "pl081") }))
  }

  private var groups: [String] { machine.vfio.groupIDs.map(\.description) }

  private func refusal(_ topology: Topology) -> Errno? {
    do throws(BusError) {
      try machine.plug(topology)
      return nil
    } catch {
      return error.errno
    }
  }

  @Test func groupsWithoutNumbersGetNewOnes() throws {
    try machine.plug(topology([device("0001:00:01.0"), device("0001:00:02.0")]))
    #expect(groups == ["pci:0", "pci:1", "pci:240"])
    try machine.plug(topology([device("0001:00:03.0")], platform: ["a.dma"]))
    try machine.plug(topology([device("0001:00:04.0", group: 240)], platform: ["b.dma"]))
    #expect(groups == ["pci:0", "pci:1", "pci:2", "pci:240", "platform:0", "platform:1"])
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 240))?.members.count == 3)
  }

  /// The function is off the bus, and `rescan` would find it in its group.
  @Test func aNumberOfWhatIsRemovedIsNotGivenAgain() throws {
    try machine.plug(topology([device("0001:00:01.0")]))
    try machine.pci.remove(#require(PCIAddress("0001:00:01.0")), .untilRescan)
    try machine.plug(topology([device("0001:00:02.0")]))
    #expect(groups == ["pci:1", "pci:240"])
    _ = machine.pci.rescan()
    #expect(groups == ["pci:0", "pci:1", "pci:240"])
  }

  @Test func allOrNothing() throws {
    try machine.plug(topology([], platform: ["b.dma"]))
    let bridge = Topology.Slot.bridge(
      Topology.Bridge(
        address: try #require(PCIAddress("0001:00:01.0")), kind: .rootPort, secondary: 1,
        slots: [try device("0001:01:00.0"), try device("0001:01:00.1", driver: .host("x"))]))
    let failing = topology(
      [bridge, try device("0001:00:02.0")], isCacheCoherent: false, platform: ["a.dma", "b.dma"])
    #expect(refusal(failing) == .fileExists)
    #expect(
      machine.pci.addresses.map(\.description) == ["0000:00:1e.0", "0000:06:0d.0", "0000:06:0d.1"])
    #expect(machine.platform.devices.map(\.name) == ["b.dma"])
    #expect(groups == ["pci:240", "platform:0"])
    #expect(machine.vfio.merging.noncoherent.isEmpty)
    // What was in the way is not any more.
    try machine.unplug(platformDevice: "b.dma")
    try machine.plug(failing)
    #expect(machine.pci.addresses.count == 7)
    #expect(machine.platform.devices.map(\.name) == ["a.dma", "b.dma"])
  }

  @Test func coherencyIsThatOfWhatIsPluggedIn() throws {
    let address = try #require(PCIAddress("0001:00:01.0"))
    try machine.plug(
      topology([try device("0001:00:01.0")], isCacheCoherent: false, platform: ["a.dma"]))
    #expect(
      machine.vfio.merging.noncoherent == [
        GroupID(bus: "pci", number: 0), GroupID(bus: "platform", number: 0),
      ])
    #expect(machine.vfio.merging.policy == .similar)
    // One that differs makes its group so.
    try machine.plug(topology([try device("0001:00:02.0", group: 0)]))
    #expect(machine.vfio.merging.noncoherent.contains(GroupID(bus: "pci", number: 0)))
    // The number's next group starts anew.
    try machine.unplug(address)
    try machine.unplug(#require(PCIAddress("0001:00:02.0")))
    try machine.plug(topology([try device("0001:00:01.0")]))
    #expect(!machine.vfio.merging.noncoherent.contains(GroupID(bus: "pci", number: 0)))
  }

  @Test func unplugs() throws {
    try machine.plug(topology([], platform: ["a.dma"]))
    let log = Log()
    try machine.unplug(platformDevice: "a.dma") { log.add("platform") }
    try machine.unplug(#require(PCIAddress("0000:00:1e.0"))) { log.add("bridge") }
    #expect(log.entries == ["platform", "bridge"])
    #expect(groups.isEmpty)
    #expect(throws: BusError.self) { try machine.unplug(platformDevice: "a.dma") }
  }

  /// A user keeps what is unplugged; whoever waits for it can give up.
  @Test func unpluggingWaitsForTheUser() throws {
    let group = try machine.vfio.openGroup(GroupID(bus: "pci", number: 240))
    defer { group.release() }
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 240))?.openCount == 1)
    // An open group alone is no use of it.
    let wait = try machine.unplug(#require(PCIAddress("0000:06:0d.1")))
    #expect(!wait.cancel())
    #expect(machine.pci.addresses.count == 2)
  }
}
