import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOCore

@testable import Sysfs

/// Functions and bridges that come and go, by the bus's own calls and by `remove` and `rescan`.
struct HotPlugTests {
  let machine: TestMachine
  let bridge = "bus/pci/devices/0000:00:1e.0"
  let first = "bus/pci/devices/0000:06:0d.0"
  let second = "bus/pci/devices/0000:06:0d.1"

  init() throws {
    machine = try TestMachine()
  }

  private func address(_ name: String) throws -> PCIAddress { try #require(PCIAddress(name)) }

  private func error(_ body: () throws(BusError) -> Void) -> Errno? {
    do throws(BusError) {
      try body()
      return nil
    } catch {
      return error.errno
    }
  }

  @Test func aBridgeGoesWithWhatIsBehindIt() throws {
    try machine.add(bridge: "0000:06:01.0", 8)
    try machine.add("0000:08:00.0", group: 241, driver: .vfio)
    let before = try machine.ls("bus/pci/devices")
    try machine.echo("1", "\(bridge)/remove")
    #expect(try machine.ls("bus/pci/devices") == ["0000:00:02.0", "0000:00:03.0"])
    #expect(try machine.ls("class/vfio") == ["pci:3", "pci:4"])
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.ls("bus/pci/devices") == before)
    #expect(try machine.ls("class/vfio") == ["pci:3", "pci:4", "pci:240", "pci:241"])
    #expect(try machine.driver("0000:08:00.0") == .vfio)
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
  }

  /// The hardware is the same: BARs are where they were, however often it is found.
  @Test func rescanFindsTheSameFunction() throws {
    let resource = try machine.cat("\(first)/resource")
    for _ in 0..<1200 {
      try machine.echo("1", "\(first)/remove")
      try machine.echo("1", "bus/pci/rescan")
    }
    #expect(try machine.cat("\(first)/resource") == resource)
  }

  /// The kernel's device is another one: it is as often enabled as one that was never there.
  @Test func whatWasSaidOfItIsForgotten() throws {
    let free = "bus/pci/devices/0000:08:00.0"
    try machine.add(bridge: "0000:06:01.0", 8)
    try machine.add("0000:08:00.0", group: 241, driver: .none)
    try machine.echo("0", "bus/pci/drivers_autoprobe")
    for gone in [free, bridge] {
      try machine.echo("1", "\(free)/enable")
      #expect(try machine.cat("\(free)/enable") == "1\n")
      try machine.echo("1", "\(gone)/remove")
      try machine.echo("1", "bus/pci/rescan")
      #expect(try machine.cat("\(free)/enable") == "0\n", "\(gone)")
    }
  }

  /// What is unplugged gives its addresses back.
  @Test func plugsDoNotUseAddressesUp() throws {
    let place = try address("0000:06:0e.0")
    for _ in 0..<1200 {
      try machine.add("0000:06:0e.0", group: 240, driver: .none)
      try machine.bus.remove(place)
    }
    try machine.add("0000:06:0e.0", group: 240, driver: .none)
    #expect(machine.bus.function(at: place)?.barAddresses[0] != nil)
  }

  @Test func rescanOfABusStaysThere() throws {
    try machine.echo("1", "bus/pci/devices/0000:00:03.0/remove")
    try machine.echo("1", "\(first)/remove")
    try machine.echo("1", "\(second)/rescan")
    #expect(machine.exists(first))
    #expect(!machine.exists("bus/pci/devices/0000:00:03.0"))
    try machine.echo("1", "\(first)/remove")
    try machine.echo("1", "\(bridge)/rescan")
    #expect(machine.exists(first))
    #expect(machine.exists("bus/pci/devices/0000:00:03.0"))
  }

  @Test func withoutAutoprobeNobodyTakesWhatIsFound() throws {
    #expect(try machine.cat("bus/pci/drivers_autoprobe") == "1\n")
    try machine.echo("0", "bus/pci/drivers_autoprobe")
    try machine.echo("1", "\(first)/remove")
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.driver(TestMachine.first) == PCIBus.Driver.none)
    #expect(try machine.cat("bus/pci/drivers_autoprobe") == "0\n")
  }

  /// Unplugging what sysfs has removed keeps a rescan from finding it.
  @Test func whatIsUnpluggedStaysAway() throws {
    try machine.echo("1", "\(first)/remove")
    try machine.bus.remove(address(TestMachine.first))
    try machine.echo("1", "\(bridge)/remove")
    try machine.bus.remove(address(TestMachine.bridge))
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.ls("bus/pci/devices") == ["0000:00:02.0", "0000:00:03.0"])
    let gone = try address(TestMachine.first)
    #expect(
      error { () throws(BusError) in try machine.bus.remove(gone) }
        == .operationNotSupportedByDevice)
  }

  /// A slot whose function sysfs has removed is not empty.
  @Test func aRemovedFunctionKeepsItsPlace() throws {
    try machine.echo("1", "\(first)/remove")
    #expect(throws: BusError.self) {
      try machine.add(TestMachine.first, group: 240, driver: .vfio)
    }
    try machine.bus.remove(address(TestMachine.first))
    try machine.add(TestMachine.first, group: 240, driver: .vfio)
    #expect(try machine.driver(TestMachine.first) == .vfio)
  }

  @Test func bridgesThatCannotBe() throws {
    for (place, secondary, errno) in [
      (TestMachine.bridge, 9, Errno.fileExists), (TestMachine.first, 9, .fileExists),
      ("0000:00:04.0", 6, .fileExists), ("0000:06:04.0", 6, .invalidArgument),
      ("0000:06:04.0", 2, .invalidArgument),
    ] as [(String, UInt8, Errno)] {
      let bridge = PCIBridge(
        address: try address(place), secondary: secondary, vendorID: 1, deviceID: 2)
      #expect(error { () throws(BusError) in try machine.bus.add(bridge) } == errno, "\(place)")
    }
  }

  // MARK: - In use

  private func use() throws -> ClientDouble.Use {
    for name in [TestMachine.first, TestMachine.second] {
      try machine.bus.unbind(address(name))
      try machine.bus.bind(address(name), to: .vfio)
    }
    return try ClientDouble().use(machine, 240, device: TestMachine.first)
  }

  private func start(_ path: String) throws -> DeferredAnswer {
    guard case .later(let answer) = try machine.echo("1", path) else {
      throw Errno.alreadyInProcess
    }
    return answer
  }

  @Test func aBridgeInUseWaits() throws {
    let use = try use()
    let log = Log()
    let answer = try start("\(bridge)/remove")
    answer.whenComplete { _ in log.add("done") }
    #expect(machine.exists(bridge))
    #expect(try machine.echoError("1", "\(bridge)/remove") == .resourceBusy)
    #expect(throws: BusError.self) {
      try machine.add("0000:06:0f.0", group: 240, driver: .vfio)
    }
    #expect(log.entries == [])
    use.end()
    #expect(log.entries == ["done"])
    #expect(!machine.exists(bridge))
    #expect(!machine.exists(first))
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 240)) == nil)
  }

  @Test func aBridgesRemovalIsTakenBack() throws {
    let use = try use()
    let answer = try start("\(bridge)/remove")
    #expect(answer.cancel())
    use.end()
    #expect(machine.exists(bridge))
    #expect(try machine.driver(TestMachine.second) == .vfio)
    try machine.echo("1", "\(bridge)/remove")
    #expect(!machine.exists(bridge))
  }

  /// What had gone by then comes back as it was.
  @Test func aBridgesRemovalIsTakenBackWhole() throws {
    try machine.add(bridge: "0000:06:01.0", 8)
    try machine.add("0000:08:00.0", group: 241, driver: .host("edu"))
    try machine.add("0000:08:01.0", group: 242, driver: .vfio)
    try machine.echo("edu", "bus/pci/devices/0000:08:00.0/driver_override")
    let before = try machine.ls("bus/pci/devices")
    let use = try use()
    let answer = try start("\(bridge)/remove")
    #expect(!machine.exists("bus/pci/devices/0000:08:00.0"))
    #expect(answer.cancel())
    #expect(try machine.ls("bus/pci/devices") == before)
    #expect(try machine.driver("0000:08:00.0") == .host("edu"))
    #expect(try machine.driver("0000:08:01.0") == .vfio)
    #expect(try machine.cat("bus/pci/devices/0000:08:00.0/driver_override") == "edu\n")
    use.end()
    // Unplugged for good, it leaves nothing for rescan.
    try machine.bus.remove(address(TestMachine.bridge))
    #expect(machine.bus.rescan().isEmpty)
    #expect(try machine.ls("bus/pci/devices") == ["0000:00:02.0", "0000:00:03.0"])
  }

  /// A function of it is on its way out already: neither is disturbed.
  @Test func aBridgeWithAnUnbindUnderWay() throws {
    let use = try use()
    let wait = try machine.bus.unbind(address(TestMachine.second))
    #expect(try machine.echoError("1", "\(bridge)/remove") == .resourceBusy)
    #expect(wait.cancel())
    let answer = try start("\(bridge)/remove")
    use.end()
    #expect(!answer.cancel())
    #expect(!machine.exists(bridge))
  }

  /// Found in a group in use, it is claimed, whatever driver it had.
  @Test func rescanIntoAGroupInUseClaims() throws {
    try machine.echo("1", "\(second)/remove")
    try machine.bus.unbind(address(TestMachine.first))
    try machine.bus.bind(address(TestMachine.first), to: .vfio)
    let use = try ClientDouble().use(machine, 240, device: TestMachine.first)
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.driver(TestMachine.second) == .vfio)
    #expect(machine.vfio.group(GroupID(bus: "pci", number: 240))?.isViable == true)
    use.end()
  }
}
