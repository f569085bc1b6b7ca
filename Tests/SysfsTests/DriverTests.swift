import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOCore

@testable import Sysfs

/// What writing does, and the errnos of what it does not.
struct DriverTests {
  let machine: TestMachine
  let drivers = "bus/pci/drivers"
  let devices = "bus/pci/devices"
  /// What a shell prints as "No such device".
  let noDevice = Errno.operationNotSupportedByDevice

  init() throws {
    machine = try TestMachine()
  }

  // MARK: - unbind and bind

  @Test func unbindAndBind() throws {
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/edu/unbind") == nil)
    #expect(try machine.driver(TestMachine.first) == PCIBus.Driver.none)
    #expect(!machine.exists("\(drivers)/edu/\(TestMachine.first)"))
    // Again, and by a driver that does not have it.
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/edu/unbind") == noDevice)
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/edu/bind") == nil)
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
    #expect(try machine.readlink("\(drivers)/edu/\(TestMachine.first)") != nil)
  }

  @Test func unbindOfAnothersFunction() throws {
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/vfio/unbind") == noDevice)
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
  }

  @Test func bindOfABoundFunction() throws {
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/edu/bind") == .resourceBusy)
    // Whether the driver takes it comes before that.
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/vfio/bind") == noDevice)
  }

  @Test func bindNeedsAnID() throws {
    #expect(try machine.echoError(TestMachine.free, "\(drivers)/vfio/bind") == noDevice)
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    // The one that it was plugged in for takes it without.
    try machine.echo(TestMachine.onRoot, "\(drivers)/vfio/unbind")
    #expect(try machine.echoError(TestMachine.onRoot, "\(drivers)/vfio/bind") == nil)
    #expect(try machine.driver(TestMachine.onRoot) == .vfio)
  }

  @Test(arguments: [
    "0000:06:0d.7", "0000:06:0D.0", " 0000:06:0d.0", "0000:06:0d.0 ", "06:0d.0", "", "x",
    "0000:06:0d.0\n", TestMachine.bridge,
  ])
  func namesOfNoFunction(name: String) throws {
    for file in ["bind", "unbind"] {
      #expect(try machine.echoError(name, "\(drivers)/edu/\(file)") == noDevice)
    }
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
  }

  @Test func namesNeedNoNewline() throws {
    try machine.write(Array(TestMachine.first.utf8), "\(drivers)/edu/unbind")
    #expect(try machine.driver(TestMachine.first) == PCIBus.Driver.none)
    #expect(throws: noDevice) { try machine.write([0xff, 0xfe], "\(drivers)/edu/unbind") }
    #expect(throws: noDevice) { try machine.write([], "\(drivers)/edu/unbind") }
  }

  // MARK: - new_id and remove_id

  /// Its functions with such an ID are bound at once, those of others stay.
  @Test func newIDBinds() throws {
    try machine.echo(TestMachine.second, "\(drivers)/edu/unbind")
    #expect(try machine.echoError("1234 11e8", "\(drivers)/vfio/new_id") == nil)
    #expect(try machine.driver(TestMachine.second) == .vfio)
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    // It takes others from now on.
    try machine.echo(TestMachine.first, "\(drivers)/edu/unbind")
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/vfio/bind") == nil)
  }

  @Test(arguments: [
    "0x1111 0x2a2a", "1111 2A2A", "  1111\t2a2a  ", "1111 2a2a 3333", "1111 2a2a 3333 4b4b",
    "1111 2a2a 3333 4b4b 020100 ffff00 0", "0X1111 2a2a garbage",
    "1111 2a2a ffffffff ffffffff 0201ab ffffff", "ffffffff 2a2a",
    // sscanf keeps the last 32 bits.
    "100001111 2a2a",
  ])
  func newIDTakes(id: String) throws {
    #expect(try machine.echoError(id, "\(drivers)/vfio/new_id") == nil)
    #expect(try machine.driver(TestMachine.free) == .vfio)
  }

  @Test(arguments: [
    "1111 2a2b", "1110 2a2a", "1111 2a2a 3334", "1111 2a2a 3333 4b4c", "1111 2a2a 3333 4b4b 03 ff",
    "2a2a 1111",
  ])
  func newIDOfOthers(id: String) throws {
    #expect(try machine.echoError(id, "\(drivers)/vfio/new_id") == nil)
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    #expect(try machine.echoError(TestMachine.free, "\(drivers)/vfio/bind") == noDevice)
  }

  @Test(arguments: ["", "1111", "x y", "1111 x", "0x 2a2a", "-1111 2a2a", "1111,2a2a"])
  func noIDs(text: String) throws {
    #expect(try machine.echoError(text, "\(drivers)/vfio/new_id") == .invalidArgument)
    #expect(try machine.echoError(text, "\(drivers)/vfio/remove_id") == .invalidArgument)
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
  }

  @Test func newIDTwice() throws {
    let newID = "\(drivers)/vfio/new_id"
    try machine.echo("1111 2a2a", newID)
    try machine.echo(TestMachine.free, "\(drivers)/vfio/unbind")
    #expect(try machine.echoError("0x1111 0x2a2a", newID) == .fileExists)
    #expect(try machine.echoError("1111 2a2a 3333 4b4b", newID) == .fileExists)
    // Nothing is bound then.
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    // Another driver's IDs are its own.
    #expect(try machine.echoError("1111 2a2a", "\(drivers)/e1000e/new_id") == nil)
    #expect(try machine.driver(TestMachine.free) == .host("e1000e"))
  }

  @Test func aWiderIDIsNew() throws {
    try machine.echo("1111 2a2a 3333 4b4b", "\(drivers)/vfio/new_id")
    #expect(try machine.echoError("1111 2a2a", "\(drivers)/vfio/new_id") == nil)
  }

  @Test func removeID() throws {
    let removeID = "\(drivers)/vfio/remove_id"
    #expect(try machine.echoError("1111 2a2a", removeID) == noDevice)
    try machine.echo("1111 2a2a 3333 4b4b", "\(drivers)/vfio/new_id")
    #expect(try machine.echoError("1111 2a2a 3334", removeID) == noDevice)
    #expect(try machine.echoError("1111 2a2a 3333 4b4c", removeID) == noDevice)
    #expect(try machine.echoError("1111 2a2b", removeID) == noDevice)
    #expect(try machine.echoError("1111 2a2a", "\(drivers)/edu/remove_id") == noDevice)
    #expect(try machine.echoError("1111 2a2a", removeID) == nil)
    // What it has it keeps, but it does not get it again.
    #expect(try machine.driver(TestMachine.free) == .vfio)
    try machine.echo(TestMachine.free, "\(drivers)/vfio/unbind")
    #expect(try machine.echoError(TestMachine.free, "\(drivers)/vfio/bind") == noDevice)
    #expect(try machine.echoError("1111 2a2a", removeID) == noDevice)
  }

  // MARK: - driver_override and drivers_probe

  @Test func override() throws {
    let override = "\(devices)/\(TestMachine.first)/driver_override"
    try machine.echo("vfio", override)
    #expect(try machine.cat(override) == "vfio\n")
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
    try machine.echo(TestMachine.first, "\(devices)/\(TestMachine.first)/driver/unbind")
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/edu/bind") == noDevice)
    #expect(try machine.echoError(TestMachine.first, "bus/pci/drivers_probe") == nil)
    #expect(try machine.driver(TestMachine.first) == .vfio)
    try machine.echo("", override)
    #expect(try machine.cat(override) == "(null)\n")
    try machine.echo(TestMachine.first, "\(drivers)/vfio/unbind")
    #expect(try machine.echoError(TestMachine.first, "\(drivers)/vfio/bind") == noDevice)
    try machine.echo(TestMachine.first, "bus/pci/drivers_probe")
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
  }

  @Test func overrideKeepsFromNewID() throws {
    try machine.echo("nobody", "\(devices)/\(TestMachine.free)/driver_override")
    try machine.echo("1111 2a2a", "\(drivers)/vfio/new_id")
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    #expect(try machine.echoError(TestMachine.free, "bus/pci/drivers_probe") == nil)
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
  }

  @Test func overridesOfAnyLength() throws {
    let override = "\(devices)/\(TestMachine.first)/driver_override"
    try machine.write(Array("vfio".utf8), override)
    #expect(try machine.cat(override) == "vfio\n")
    // As dpdk-devbind.py writes it: text ends with a NUL, here before it begins.
    try machine.write([0], override)
    #expect(try machine.cat(override) == "(null)\n")
    try machine.write(Array("vfio\0x".utf8), override)
    #expect(try machine.cat(override) == "vfio\n")
    let long = [UInt8](repeating: 0x61, count: 4095)
    #expect(throws: Errno.invalidArgument) { try machine.write(long, override) }
    #expect(throws: Errno.invalidArgument) { try machine.write([0xff], override) }
    #expect(try machine.cat(override) == "vfio\n")
    try machine.write(Array(long.dropLast()), override)
    #expect(try machine.cat(override).count == 4095)
  }

  @Test func probing() throws {
    let probe = "bus/pci/drivers_probe"
    // Nobody takes it, which is no error.
    #expect(try machine.echoError(TestMachine.free, probe) == nil)
    #expect(try machine.driver(TestMachine.free) == PCIBus.Driver.none)
    try machine.echo("1111 2a2a", "\(drivers)/vfio/new_id")
    try machine.echo(TestMachine.free, "\(drivers)/vfio/unbind")
    #expect(try machine.echoError(TestMachine.free, probe) == nil)
    #expect(try machine.driver(TestMachine.free) == .vfio)
    // A host driver is asked before vfio, if it was not plugged in for that.
    try machine.echo("1111 2a2a", "\(drivers)/e1000e/new_id")
    for name in [TestMachine.free, TestMachine.onRoot] {
      try machine.echo(name, "\(drivers)/vfio/unbind")
      try machine.echo(name, probe)
    }
    #expect(try machine.driver(TestMachine.free) == .host("e1000e"))
    #expect(try machine.driver(TestMachine.onRoot) == .vfio)
    // One that has a driver keeps it.
    #expect(try machine.echoError(TestMachine.onRoot, probe) == nil)
    #expect(try machine.driver(TestMachine.onRoot) == .vfio)
    #expect(try machine.echoError(TestMachine.bridge, probe) == nil)
    for name in ["0000:06:0d.7", "", "0000:00:1E.0"] {
      #expect(try machine.echoError(name, probe) == noDevice)
    }
  }

  // MARK: - remove and rescan

  @Test func removeAndRescan() throws {
    let remove = "\(devices)/\(TestMachine.first)/remove"
    #expect(try machine.echoError("0", remove) == nil)
    #expect(machine.exists("\(devices)/\(TestMachine.first)"))
    #expect(try machine.echoError("1", remove) == nil)
    #expect(!machine.exists("\(devices)/\(TestMachine.first)"))
    #expect(try machine.ls("class/vfio/pci:240/devices") == [TestMachine.second])
    #expect(try machine.echoError("0", "bus/pci/rescan") == nil)
    #expect(!machine.exists("\(devices)/\(TestMachine.first)"))
    #expect(try machine.echoError("1", "bus/pci/rescan") == nil)
    #expect(try machine.driver(TestMachine.first) == .host("edu"))
    #expect(try machine.cat("\(devices)/\(TestMachine.first)/iommu_group") == "240\n")
    #expect(try machine.cat("\(devices)/\(TestMachine.first)/vendor") == "0x1234\n")
    // What is unplugged is not found.
    try machine.bus.remove(#require(PCIAddress(TestMachine.first)))
    try machine.echo("1", "bus/pci/rescan")
    #expect(!machine.exists("\(devices)/\(TestMachine.first)"))
  }

  @Test func rescanFindsDrivers() throws {
    try machine.echo("1", "\(devices)/\(TestMachine.free)/remove")
    try machine.echo("1111 2a2a", "\(drivers)/vfio/new_id")
    try machine.echo("1", "bus/pci/rescan")
    #expect(try machine.driver(TestMachine.free) == .vfio)
  }

  @Test(arguments: ["", "x", "1x", "-1", "1 ", " 1", "0x", "08", "18446744073709551616", "++1"])
  func noNumbers(text: String) throws {
    let remove = "\(devices)/\(TestMachine.first)/remove"
    #expect(try machine.echoError(text, remove) == .invalidArgument)
    #expect(try machine.echoError(text, "bus/pci/rescan") == .invalidArgument)
    #expect(machine.exists(remove))
  }

  @Test(arguments: ["1", "01", "0x1", "0XfF", "+1", "18446744073709551615"])
  func numbers(text: String) throws {
    #expect(try machine.echoError(text, "\(devices)/\(TestMachine.first)/remove") == nil)
    #expect(!machine.exists("\(devices)/\(TestMachine.first)"))
  }
}
