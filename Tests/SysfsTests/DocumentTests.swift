import SystemPackage
import Testing
import VFIOCore

@testable import Sysfs

/// The shell session of the VFIO document of 2011, section "VFIO Usage Example".
struct DocumentTests {
  private let groupDevices = "devices/virtual/vfio/pci:240/devices"

  @Test func whatItShows() throws {
    let machine = try TestMachine()
    // $ cat /sys/bus/pci/devices/0000:06:0d.0/iommu_group
    #expect(try machine.cat("bus/pci/devices/0000:06:0d.0/iommu_group") == "240\n")
    // $ ls -l /sys/devices/virtual/vfio/pci:240/devices/
    #expect(try machine.ls(groupDevices) == ["0000:06:0d.0", "0000:06:0d.1"])
    for name in try machine.ls(groupDevices) {
      #expect(
        try machine.readlink("\(groupDevices)/\(name)")
          == "../../../../pci0000:00/0000:00:1e.0/\(name)")
    }
    // [4] In this case the device is below a PCI bridge
    #expect(try machine.cat("bus/pci/devices/0000:00:1e.0/revision") == "0x90\n")
  }

  /// The body of the loop for one device, as written; what `echo` says is the caller's to judge.
  private func rebind(
    _ machine: TestMachine, _ name: String
  ) throws -> (unbind: Errno?, newID: Errno?, bind: Errno?) {
    let dir = try machine.realpath("\(groupDevices)/\(name)")
    #expect(dir == "devices/pci0000:00/0000:00:1e.0/\(name)")
    var unbind: Errno?
    if machine.exists("\(dir)/driver") {
      #expect(try machine.readlink("\(dir)/driver") != nil)
      unbind = try machine.echoError(name, "\(dir)/driver/unbind")
    }
    let vendor = try machine.cat("\(dir)/vendor").dropLast()
    let device = try machine.cat("\(dir)/device").dropLast()
    let newID = try machine.echoError("\(vendor) \(device)", "bus/pci/drivers/vfio/new_id")
    let bind = try machine.echoError(name, "bus/pci/drivers/vfio/bind")
    return (unbind, newID, bind)
  }

  /// From the host's driver: `new_id` binds the first device at once, so that its `bind` comes too late;
  /// the second finds its ID there already, and `bind` does it. The loop minds neither.
  @Test func theLoop() throws {
    let machine = try TestMachine()
    let group = VFIOCore.GroupID(bus: "pci", number: 240)
    #expect(machine.vfio.group(group)?.isViable == false)
    let first = try rebind(machine, TestMachine.first)
    #expect(first == (nil, nil, .resourceBusy))
    #expect(try machine.driver(TestMachine.first) == .vfio)
    #expect(try machine.driver(TestMachine.second) == .host("edu"))
    #expect(machine.vfio.group(group)?.isViable == false)
    let second = try rebind(machine, TestMachine.second)
    #expect(second == (nil, .fileExists, nil))
    #expect(try machine.driver(TestMachine.second) == .vfio)
    #expect(machine.vfio.group(group)?.isViable == true)
    #expect(try machine.ls("bus/pci/drivers/vfio").contains(TestMachine.first))
    try ClientDouble().use(machine, 240, device: TestMachine.first).end()
  }

  /// On devices that vfio has already, and on those that nobody has, it ends the same.
  @Test(arguments: [PCIBus.Driver.vfio, .none])
  func theLoopFromElsewhere(driver: PCIBus.Driver) throws {
    let machine = try TestMachine(populated: false)
    try machine.add(bridge: TestMachine.bridge, 6)
    try machine.add(TestMachine.first, group: 240, driver: driver)
    try machine.add(TestMachine.second, group: 240, driver: driver)
    for _ in 0..<2 {
      for name in try machine.ls(groupDevices) { _ = try rebind(machine, name) }
      #expect(machine.vfio.group(VFIOCore.GroupID(bus: "pci", number: 240))?.isViable == true)
    }
  }
}
