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
    #expect(try machine.ls("kernel/iommu_groups/240/devices").count == 2)
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

  @Test func mainlineGroups() throws {
    let machine = try TestMachine(.mainline)
    let group = "kernel/iommu_groups/240"
    #expect(try machine.ls(group) == ["devices", "reserved_regions", "type"])
    #expect(try machine.cat("\(group)/type") == "DMA\n")
    #expect(
      try machine.cat("\(group)/reserved_regions")
        == "0x00000000fee00000 0x00000000feefffff msi\n")
  }

  /// A group without an IOMMU is vfio's own, for as long as vfio-pci has its device.
  @Test func withoutAnIOMMU() throws {
    let machine = try TestMachine(.mainline)
    let (device, parameter) = (
      "bus/pci/devices/0000:00:05.0", "module/vfio/parameters/enable_unsafe_noiommu_mode"
    )
    #expect(!machine.exists(parameter))
    try machine.add("0000:00:05.0", group: 9, hasIOMMU: false, driver: .none)
    #expect(try machine.cat(parameter) == "N\n")
    #expect(!machine.exists("\(device)/iommu_group"))
    #expect(!machine.exists("kernel/iommu_groups/9"))
    let bind = "bus/pci/drivers/vfio-pci/bind"
    try machine.echo("vfio-pci", "\(device)/driver_override")
    #expect(try machine.echoError("0000:00:05.0", bind) == .invalidArgument)
    #expect(try machine.echoError("maybe", parameter) == .invalidArgument)
    try machine.echo("on", parameter)
    #expect(try machine.cat(parameter) == "Y\n")
    try machine.echo("0000:00:05.0", bind)
    let group = "kernel/iommu_groups/9"
    #expect(try machine.realpath("\(device)/iommu_group") == group)
    #expect(try machine.ls(group) == ["devices", "name", "reserved_regions", "type"])
    #expect(try machine.cat("\(group)/name") == "vfio-noiommu\n")
    #expect(try machine.cat("\(group)/type") == "unknown\n")
    #expect(try machine.cat("\(group)/reserved_regions") == "")
    #expect(try machine.ls("class/vfio") == ["3", "noiommu-9"])
    #expect(try machine.realpath("class/vfio/noiommu-9") == "devices/virtual/vfio/noiommu-9")
    #expect(try machine.cat("class/vfio/noiommu-9/uevent").hasSuffix("DEVNAME=vfio/noiommu-9\n"))
    try machine.echo("0000:00:05.0", "\(device)/driver/unbind")
    #expect(!machine.exists(group))
    #expect(try machine.ls("class/vfio") == ["3"])
  }

  /// `vfio-dev` of Linux 6.1: numbers are free again when vfio-pci lets go.
  @Test func mainlineDevices() throws {
    let machine = try TestMachine(.mainline)
    let device = "bus/pci/devices/0000:00:02.0"
    #expect(try machine.ls("class/vfio-dev") == ["vfio0"])
    #expect(
      try machine.readlink("class/vfio-dev/vfio0")
        == "../../devices/pci0000:00/0000:00:02.0/vfio-dev/vfio0")
    #expect(try machine.ls("\(device)/vfio-dev/vfio0") == ["device", "subsystem", "uevent"])
    #expect(try machine.readlink("\(device)/vfio-dev/vfio0/device") == "../../../0000:00:02.0")
    #expect(try machine.realpath("class/vfio-dev/vfio0/subsystem") == "class/vfio-dev")
    try machine.echo("1111 2a2a", "bus/pci/drivers/vfio-pci/new_id")
    #expect(try machine.ls("bus/pci/devices/0000:00:03.0/vfio-dev") == ["vfio1"])
    try machine.echo("0000:00:02.0", "\(device)/driver/unbind")
    #expect(!machine.exists("\(device)/vfio-dev"))
    #expect(try machine.ls("class/vfio-dev") == ["vfio1"])
    try machine.echo("0000:00:02.0", "bus/pci/drivers/vfio-pci/bind")
    #expect(try machine.ls("class/vfio-dev") == ["vfio0", "vfio1"])
    #expect(try TestMachine(.draft2011).exists("class/vfio-dev") == false)
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
