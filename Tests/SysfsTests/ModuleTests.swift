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

  @Test func switches() throws {
    let machine = try TestMachine(.mainline)
    let pci = "module/vfio_pci/parameters"
    for (name, permissions) in [
      ("disable_denylist", 0o444), ("disable_idle_d3", 0o644), ("disable_vga", 0o444),
      ("enable_sriov", 0o644), ("nointxmask", 0o644),
    ] {
      #expect(try machine.cat("\(pci)/\(name)") == "N\n")
      #expect(
        try machine.file("\(pci)/\(name)").permissions
          == FilePermissions(rawValue: CInterop.Mode(permissions)))
      #expect(try machine.file("\(pci)/\(name)").isWritable == (permissions == 0o644))
    }
    let file = "\(pci)/nointxmask"
    for (text, value) in [
      ("1", "Y"), ("0", "N"), ("y", "Y"), ("N", "N"), ("on", "Y"), ("off", "N"), ("10", "Y"),
      ("0x20", "N"), ("ye", "Y"), ("tr", "Y"),
    ] {
      try machine.echo(text, file)
      #expect(try machine.cat(file) == "\(value)\n", "\(text)")
    }
    for text in ["x", "4294967295", "5", " 7", "ox", "-1"] {
      #expect(try machine.echoError(text, file) == .invalidArgument, "\(text)")
      #expect(try machine.cat(file) == "Y\n")
    }
    // Each is its own.
    #expect(try machine.cat("\(pci)/enable_sriov") == "N\n")
  }

  @Test func entryLimit() throws {
    let machine = try TestMachine(.mainline)
    let file = "module/vfio_iommu_type1/parameters/dma_entry_limit"
    for (text, value) in [
      ("1", "1"), ("0", "0"), ("100000", "100000"), ("0x20", "32"), ("4294967295", "4294967295"),
    ] {
      try machine.echo(text, file)
      #expect(try machine.cat(file) == "\(value)\n")
    }
    #expect(try machine.echoError("4294967296", file) == .outOfRange)
    for text in ["Y", "x", "-1", " 7", "7 "] {
      #expect(try machine.echoError(text, file) == .invalidArgument, "\(text)")
    }
    #expect(machine.vfio.entryLimit == 4_294_967_295)
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
