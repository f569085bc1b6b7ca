import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

@testable import Sysfs

/// The platform bus, and buses that only VFIO knows.
struct PlatformTests {
  let machine: TestMachine
  let device = "bus/platform/devices/1c010000.dma"
  let drivers = "bus/platform/drivers"

  init() throws {
    machine = try TestMachine()
    try add(machine)
  }

  private func add(_ machine: TestMachine) throws {
    try machine.platform.add(name: "1c010000.dma", kind: PL081.kind, group: 0, driver: .vfio)
    try machine.platform.add(
      name: "1c020000.dma", kind: PL081.kind, group: 1, driver: .host("pl08xdmac"))
  }

  private func driver(_ name: String) -> BusDriver? { machine.platform.device(named: name)?.driver }

  @Test func directories() throws {
    let expected: [(path: String, names: [String])] = [
      ("bus", ["pci", "platform"]),
      ("bus/platform", ["devices", "drivers", "drivers_autoprobe", "drivers_probe"]),
      ("bus/platform/devices", ["1c010000.dma", "1c020000.dma"]),
      (drivers, ["pl08xdmac", "vfio"]),
      ("\(drivers)/vfio", ["1c010000.dma", "bind", "unbind"]),
      ("devices/platform", ["1c010000.dma", "1c020000.dma"]),
      (
        "devices/platform/1c010000.dma",
        ["driver", "driver_override", "iommu_group", "modalias", "subsystem", "uevent"]
      ),
      ("class/vfio", ["pci:3", "pci:4", "pci:240", "platform:0", "platform:1"]),
      ("class/vfio/platform:0/devices", ["1c010000.dma"]),
    ]
    for (path, names) in expected { #expect(try machine.ls(path) == names, "\(path)") }
    #expect(try machine.readlink(device) == "../../../devices/platform/1c010000.dma")
    #expect(try machine.readlink("\(device)/driver") == "../../../bus/platform/drivers/vfio")
    #expect(try machine.realpath("\(device)/subsystem") == "bus/platform")
    #expect(
      try machine.realpath("class/vfio/platform:1/devices/1c020000.dma")
        == "devices/platform/1c020000.dma")
    for path in ["\(device).x", "\(drivers)/e1000e", "\(drivers)/vfio/1c020000.dma"] {
      #expect(!machine.exists(path), "\(path)")
    }
    #expect(machine.tree.hasDevice(named: "1c010000.dma"))
    #expect(!machine.tree.hasDevice(named: "1c030000.dma"))
  }

  @Test func files() throws {
    #expect(try machine.cat("\(device)/iommu_group") == "0\n")
    #expect(try machine.cat("\(device)/modalias") == "platform:1c010000.dma\n")
    #expect(
      try machine.cat("\(device)/uevent") == "DRIVER=vfio\nMODALIAS=platform:1c010000.dma\n")
    #expect(try machine.echoError("change", "\(device)/uevent") == nil)
    #expect(try machine.cat("\(device)/driver_override") == "(null)\n")
    let override = try machine.file("\(device)/driver_override")
    try machine.platform.remove("1c010000.dma")
    let (read, write) = (try #require(override.read), try #require(override.write))
    #expect(errno(read) == .operationNotSupportedByDevice)
    #expect(throws: Errno.operationNotSupportedByDevice) { try write(Array("x\n".utf8)) }
  }

  @Test func rebinding() throws {
    let name = "1c020000.dma"
    #expect(try machine.echoError(name, "\(drivers)/vfio/unbind") == .operationNotSupportedByDevice)
    try machine.echo(name, "\(drivers)/pl08xdmac/unbind")
    #expect(!machine.exists("bus/platform/devices/\(name)/driver"))
    // Only what it was plugged in for takes it, until it is told otherwise.
    #expect(try machine.echoError(name, "\(drivers)/vfio/bind") == .operationNotSupportedByDevice)
    try machine.echo("vfio", "bus/platform/devices/\(name)/driver_override")
    try machine.echo(name, "bus/platform/drivers_probe")
    #expect(driver(name) == .vfio)
    #expect(try machine.echoError(name, "\(drivers)/vfio/bind") == .resourceBusy)
    try machine.echo(name, "\(drivers)/vfio/unbind")
    try machine.echo("", "bus/platform/devices/\(name)/driver_override")
    try machine.echo(name, "\(drivers)/pl08xdmac/bind")
    #expect(driver(name) == .host("pl08xdmac"))
    let nothing = "bus/platform/drivers_probe"
    #expect(try machine.echoError("1c030000.dma", nothing) == .operationNotSupportedByDevice)
    try machine.echo("0", "bus/platform/drivers_autoprobe")
    #expect(try machine.cat("bus/platform/drivers_autoprobe") == "0\n")
    #expect(try machine.cat("bus/pci/drivers_autoprobe") == "1\n")
  }

  /// The wait for a user can be taken back, as on the other bus.
  @Test func unbindWaits() throws {
    let client = ClientDouble()
    let group = try machine.vfio.openGroup(GroupID(bus: "platform", number: 0))
    defer { group.release() }
    guard
      case .file(let iommu) = try group.ioctl(
        Draft2011.Request.groupGetIOMMUFD.rawValue, 0, from: client)
    else { throw Errno.ioError }
    guard case .later(let answer) = try machine.echo("1c010000.dma", "\(drivers)/vfio/unbind")
    else { throw Errno.ioError }
    #expect(answer.cancel())
    #expect(driver("1c010000.dma") == .vfio)
    let log = Log()
    let wait = try machine.platform.remove("1c010000.dma") { log.add("gone") }
    #expect(log.entries == [])
    iommu.release()
    #expect(log.entries == ["gone"])
    #expect(!wait.cancel())
    #expect(!machine.exists(device))
  }

  @Test func mainline() throws {
    let machine = try TestMachine(.mainline)
    try add(machine)
    #expect(try machine.ls(drivers) == ["pl08xdmac", "vfio-platform"])
    #expect(!machine.exists("\(device)/iommu_group"))
    #expect(try machine.ls("class/vfio") == ["3"])
  }

  // MARK: - Buses of plug-ins

  private final class Ops: DeviceOps {
    func match(_ device: VFIOCore.Device, _ string: String) -> Bool { false }
    func open(_ data: DeviceData) throws(Errno) {}
    func release(_ data: DeviceData) {}
    func read(
      _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int { 0 }
    func write(
      _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
    ) throws(Errno) -> Int { 0 }
    func ioctl(
      _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
    ) throws(Errno) -> IoctlResult { throw .inappropriateIOCTLForDevice }
    func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
      throw .invalidArgument
    }
  }

  @Test func otherBuses() throws {
    for (name, bus) in [("loop0", "loop"), ("a/b", "loop"), ("x", ".."), ("x", "virtual")] {
      try machine.vfio.addDevice(
        VFIOCore.Device(name: name, group: GroupID(bus: bus, number: 7)), ops: Ops())
    }
    #expect(try machine.ls("bus") == ["pci", "platform", "loop", "virtual"])
    #expect(try machine.ls("bus/loop") == ["devices"])
    #expect(try machine.ls("bus/loop/devices") == ["loop0"])
    #expect(try machine.ls("devices") == ["pci0000:00", "loop", "platform", "virtual"])
    #expect(try machine.ls("devices/virtual") == ["vfio"])
    #expect(try machine.cat("bus/loop/devices/loop0/iommu_group") == "7\n")
    #expect(try machine.ls("class/vfio/loop:7/devices") == ["loop0"])
    #expect(
      try machine.realpath("class/vfio/loop:7/devices/loop0") == "devices/loop/loop0")
    #expect(try machine.realpath("devices/loop/loop0/subsystem") == "bus/loop")
    #expect(!machine.exists("class/vfio/loop:07"))
  }
}
