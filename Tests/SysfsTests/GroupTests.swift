import DeviceKit
import SystemPackage
import Testing

@testable import Sysfs

/// Groups, in both dialects.
struct GroupTests {
  @Test func draft() throws {
    let machine = try TestMachine()
    #expect(try machine.cat("class/vfio/pci:240/dev") == "252:27\n")
    #expect(
      try machine.cat("class/vfio/pci:240/uevent")
        == "MAJOR=252\nMINOR=27\nDEVNAME=vfio/pci:240\n")
    #expect(try machine.cat("class/vfio/pci:3/uevent") == "DEVNAME=vfio/pci:3\n")
    #expect(try machine.cat("bus/pci/devices/0000:06:0d.1/iommu_group") == "240\n")
    #expect(try machine.readlink("bus/pci/devices/0000:06:0d.1/iommu_group") == nil)
    #expect(!machine.exists("kernel"))
  }

  @Test func mainline() throws {
    let machine = try TestMachine(.mainline)
    let device = "bus/pci/devices/0000:06:0d.0"
    #expect(try machine.ls("") == ["bus", "class", "devices", "kernel", "module"])
    #expect(try machine.ls("kernel") == ["iommu_groups"])
    #expect(try machine.ls("kernel/iommu_groups") == ["3", "4", "240"])
    #expect(try machine.ls("kernel/iommu_groups/240") == ["devices"])
    #expect(
      try machine.ls("kernel/iommu_groups/240/devices") == ["0000:06:0d.0", "0000:06:0d.1"])
    #expect(
      try machine.readlink("kernel/iommu_groups/240/devices/0000:06:0d.0")
        == "../../../../devices/pci0000:00/0000:00:1e.0/0000:06:0d.0")
    #expect(
      try machine.readlink("\(device)/iommu_group") == "../../../../kernel/iommu_groups/240")
    #expect(try machine.realpath("\(device)/iommu_group") == "kernel/iommu_groups/240")
    #expect(!machine.exists("kernel/iommu_groups/5"))
    #expect(!machine.exists("kernel/iommu_groups/03"))
    #expect(!machine.exists("kernel/iommu_groups/3/devices/0000:06:0d.0"))
    #expect(!machine.exists("kernel/x"))
  }

  /// Linux makes a group's node when vfio-pci gets a device of it.
  @Test func mainlineNodes() throws {
    let machine = try TestMachine(.mainline)
    #expect(try machine.ls("class/vfio") == ["3"])
    #expect(!machine.exists("class/vfio/240"))
    #expect(!machine.exists("class/vfio/pci:3"))
    #expect(try machine.ls("bus/pci/drivers") == ["e1000e", "edu", "vfio-pci"])
    #expect(
      try machine.readlink("bus/pci/devices/0000:00:02.0/driver")
        == "../../../bus/pci/drivers/vfio-pci")
    try machine.echo("vfio-pci", "bus/pci/devices/0000:06:0d.0/driver_override")
    try machine.echo("0000:06:0d.0", "bus/pci/devices/0000:06:0d.0/driver/unbind")
    try machine.echo("0000:06:0d.0", "bus/pci/drivers_probe")
    #expect(try machine.driver(TestMachine.first) == .vfio)
    #expect(try machine.ls("class/vfio") == ["3", "240"])
    #expect(try machine.ls("class/vfio/240") == ["dev", "subsystem", "uevent"])
    #expect(try machine.realpath("class/vfio/240") == "devices/virtual/vfio/240")
    #expect(
      try machine.cat("class/vfio/240/uevent") == "MAJOR=252\nMINOR=27\nDEVNAME=vfio/240\n")
  }
}
