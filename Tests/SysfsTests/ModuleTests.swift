import SystemPackage
import Testing
import VFIOCore

@testable import Sysfs

/// `/sys/module`, and what leads there.
struct ModuleTests {
  @Test func today() throws {
    let machine = try TestMachine(.mainline)
    for name in ["vfio", "vfio_iommu_type1", "vfio_pci", "vfio_pci_core", "vfio_virqfd"] {
      #expect(try machine.cat("module/\(name)/initstate") == "live\n")
    }
    #expect(try machine.cat("module/vfio/version") == "0.3\n")
    #expect(try machine.cat("module/vfio/refcnt") == "3\n")
    #expect(!machine.exists("module/vfio/parameters"))
    #expect(!machine.exists("module/vfio/drivers"))
    let type1 = "module/vfio_iommu_type1/parameters"
    #expect(
      try machine.ls(type1) == [
        "allow_unsafe_interrupts", "disable_hugepages", "dma_entry_limit",
      ])
    #expect(try machine.cat("\(type1)/dma_entry_limit") == "65535\n")
  }

  @Test(arguments: SysfsDialect.allCases)
  func aDriverAndItsModuleKnowEachOther(_ dialect: SysfsDialect) throws {
    let machine = try TestMachine(dialect)
    let driver = dialect.vfioDriver
    let module = dialect == .mainline ? "vfio_pci" : "vfio"
    #expect(
      try machine.readlink("bus/pci/drivers/\(driver)/module") == "../../../../module/\(module)")
    #expect(
      try machine.readlink("module/\(module)/drivers/pci:\(driver)")
        == "../../../bus/pci/drivers/\(driver)")
  }

  @Test func driversOfTheHost() throws {
    let machine = try TestMachine(.mainline)
    for name in ["e1000e", "edu"] {
      #expect(try machine.ls("module/\(name)/drivers") == ["pci:\(name)"])
    }
    #expect(!machine.exists("module/none"))
    #expect(KernelModule.name(ofDriver: "virtio-pci") == "virtio_pci")
  }

  @Test func holders() throws {
    let machine = try TestMachine(.mainline)
    #expect(
      try machine.readlink("module/vfio_pci_core/holders/vfio_pci") == "../../vfio_pci")
    #expect(try machine.ls("module/vfio_pci/holders") == [])
  }

  @Test func todaysOnlyToday() throws {
    #expect(try TestMachine(.draft2011).exists("module/vfio_pci") == false)
  }
}
