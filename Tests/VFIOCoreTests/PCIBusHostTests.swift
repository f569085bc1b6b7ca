import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOCore

/// What the host sees of functions and steers.
struct PCIBusHostTests {
  let machine: Machine
  let client = MemoryClient()
  let address: PCIAddress

  init() throws {
    machine = try Machine()
    address = try #require(PCIAddress("0000:06:0d.0"))
  }

  private func error(_ body: () throws(BusError) -> Void) -> Errno? {
    do throws(BusError) {
      try body()
      return nil
    } catch {
      return error.errno
    }
  }

  private var status: PCIBus.FunctionStatus? { machine.bus.function(at: address) }

  @Test func singleFunctions() throws {
    #expect(status?.address == address)
    #expect(status?.driver == .vfio)
    #expect(status?.initialDriver == .vfio)
    #expect(status?.barAddresses == [0: 0xc000_0000])
    #expect(status?.kind == "edu")
    #expect(
      machine.bus.addresses.map(\.description)
        == ["0000:06:0d.0", "0000:06:0d.1", "0000:07:00.0", "0000:08:00.0"])
    #expect(machine.bus.addresses(on: PCIBusAddress(bus: 6)).count == 2)
    let nowhere = try #require(PCIAddress("0000:06:0d.7"))
    #expect(machine.bus.function(at: nowhere) == nil)
    #expect(machine.bus.config(at: nowhere) == nil)
  }

  @Test func rebindingKeepsTheInitialDriver() throws {
    try machine.bus.unbind(address)
    try machine.bus.bind(address, to: .host("x"))
    #expect(status?.driver == .host("x"))
    #expect(status?.initialDriver == .vfio)
  }

  @Test func singleGroups() {
    #expect(machine.vfio.groupIDs.map(\.number) == [240, 241, 242])
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 240))?.members.count == 2)
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 9)) == nil)
  }

  /// BARs are the client's own; the command register is not.
  @Test func configFollowsTheClientButForTheBARs() throws {
    let group = try client.open(machine.vfio, 240)
    let device = try client.getDevice(group, "0000:06:0d.0")
    try client.write(device, 7, 0x10, 0xffff_ffff)
    #expect(try client.read(device, 7, 0x10) == 0xfff0_0000)
    try client.write(device, 7, 0x04, 0x0406, bytes: 2)
    let config = try #require(machine.bus.config(at: address))
    #expect(config.count == 256)
    #expect(config[0x10..<0x14] == [0x00, 0x00, 0x00, 0xc0])
    #expect(config[0x00..<0x06] == [0x34, 0x12, 0xe8, 0x11, 0x06, 0x04])
  }

  @Test func overrides() throws {
    #expect(status?.driverOverride == nil)
    try machine.bus.setDriverOverride("x", at: address)
    #expect(status?.driverOverride == "x")
    #expect(status?.driver == .vfio)
    try machine.bus.setDriverOverride(nil, at: address)
    #expect(status?.driverOverride == nil)
    let nowhere = try #require(PCIAddress("0000:06:0d.7"))
    #expect(
      error { () throws(BusError) in
        try machine.bus.setDriverOverride("x", at: nowhere)
      } == .operationNotSupportedByDevice)
  }

  @Test func unbindsFromOneDriverOnly() throws {
    #expect(
      error { () throws(BusError) in try machine.bus.unbind(address, from: .host("x")) }
        == .operationNotSupportedByDevice)
    #expect(status?.driver == .vfio)
    try machine.bus.unbind(address, from: .vfio)
    #expect(status?.driver == PCIBus.Driver.none)
  }

  @Test func anUnbindIsTakenBack() throws {
    let group = try client.open(machine.vfio, 240)
    let iommu = try client.getIOMMU(group)
    let log = Log()
    let wait = try machine.bus.unbind(address) { log.add("unbound") }
    #expect(status?.isUnbinding == true)
    #expect(wait.cancel())
    #expect(!wait.cancel())
    #expect(status?.isUnbinding == false)
    client.close(iommu)
    #expect(status?.driver == .vfio)
    #expect(log.entries == [])
    // It can be unbound again, and what was taken back stays out of that.
    let second = try client.getIOMMU(group)
    try machine.bus.unbind(address) { log.add("again") }
    client.close(second)
    #expect(log.entries == ["again"])
    #expect(!wait.cancel())
    #expect(status?.driver == PCIBus.Driver.none)
  }

  @Test func anUnbindThatIsDoneStaysDone() throws {
    let wait = try machine.bus.unbind(address)
    #expect(!wait.cancel())
    try machine.bus.bind(address, to: .host("x"))
    let other = try machine.bus.unbind(address)
    #expect(!other.cancel())
    #expect(status?.driver == PCIBus.Driver.none)
  }

  /// The wait of one binding leaves that of the next alone.
  @Test func aWaitEndsWithItsBinding() throws {
    let group = try client.open(machine.vfio, 240)
    let first = try client.getIOMMU(group)
    let wait = try machine.bus.unbind(address)
    client.close(first)
    try machine.bus.bind(address, to: .vfio)
    let second = try client.getIOMMU(group)
    let log = Log()
    try machine.bus.unbind(address) { log.add("second") }
    #expect(!wait.cancel())
    client.close(second)
    #expect(log.entries == ["second"])
  }

  @Test func aRemovalIsTakenBack() throws {
    let group = try client.open(machine.vfio, 240)
    let iommu = try client.getIOMMU(group)
    let log = Log()
    let wait = try machine.bus.remove(address) { log.add("removed") }
    #expect(wait.cancel())
    client.close(iommu)
    #expect(status?.driver == .vfio)
    #expect(machine.status(240)?.members.map(\.isBound) == [true, true])
    try machine.bus.unbind(address)
    #expect(machine.status(240)?.members.map(\.isBound) == [false, true])
    #expect(status != nil)
    try machine.bus.remove(address) { log.add("removed later") }
    #expect(log.entries == ["removed later"])
    #expect(status == nil)
    #expect(machine.status(240)?.members.count == 1)
  }
}
