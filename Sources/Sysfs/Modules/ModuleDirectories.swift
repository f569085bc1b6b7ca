import SystemPackage

/// A kernel module as `/sys/module` shows it (kernel/module/sysfs.c, kernel/params.c), without what only a real
/// one has: its sizes and sections.
struct KernelModule: Sendable {
  /// With underscores, whatever the driver's name has.
  var name: String
  var version: String?
  var parameters: [String: SysfsFile] = [:]
  /// The PCI driver that it brings.
  var driver: String?
  /// The modules that use it.
  var holders: [String] = []

  /// The module that a PCI driver comes with; the kernel takes a hyphen in a module's name for an underscore.
  static func name(ofDriver driver: String) -> String {
    String(driver.map { $0 == "-" ? "_" : $0 })
  }
}

/// The files and directories of a module.
private enum ModuleName: String, CaseIterable, Sendable {
  case drivers, holders, initstate, parameters, refcnt, taint, version
}

extension SysfsMachine {
  /// Linux's, as Debian 12 has them, or the one of the document's days; and a module for each driver of the host.
  var modules: [KernelModule] {
    let modules: [KernelModule]
    switch options.dialect {
    case .draft2011:
      modules = [KernelModule(name: "vfio", driver: options.dialect.vfioDriver)]
    case .mainline:
      modules = [
        KernelModule(
          name: "vfio", version: "0.3",
          // Debian's kernel is built without groups that have no IOMMU.
          parameters: vfio.hasNoIOMMUGroups
            ? ["enable_unsafe_noiommu_mode": unsafeNoIOMMUMode] : [:],
          holders: ["vfio_iommu_type1", "vfio_pci", "vfio_pci_core"]),
        KernelModule(
          name: "vfio_iommu_type1", version: "0.2",
          parameters: [
            "allow_unsafe_interrupts": moduleSwitches.file("allow_unsafe_interrupts"),
            "disable_hugepages": moduleSwitches.file("disable_hugepages"),
            "dma_entry_limit": entryLimit,
          ]),
        KernelModule(
          name: "vfio_pci",
          parameters: [
            "disable_denylist": .no, "disable_vga": .no,
            "disable_idle_d3": moduleSwitches.file("disable_idle_d3"),
            "enable_sriov": moduleSwitches.file("enable_sriov"),
            "nointxmask": moduleSwitches.file("nointxmask"),
          ],
          driver: options.dialect.vfioDriver),
        KernelModule(name: "vfio_pci_core", holders: ["vfio_pci"]),
        KernelModule(name: "vfio_virqfd", version: "0.1", holders: ["vfio_pci_core"]),
      ]
    }
    let hosts = drivers.names.filter { $0 != options.dialect.vfioDriver }
    return modules
      + hosts.map { KernelModule(name: KernelModule.name(ofDriver: $0), driver: $0) }
  }
}

extension SysfsDirectory {
  /// `/sys/module`
  static func modules(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.modules.map(\.name) },
      child: { name in
        machine.modules.first { $0.name == name }.map { .directory(.module($0)) }
      })
  }

  private static func module(_ module: KernelModule) -> SysfsDirectory {
    let path = ["module", module.name]
    return SysfsDirectory(ModuleName.self) { name in
      switch name {
      case .drivers:
        return module.driver.map { driver in
          let link = symlink(from: path + ["drivers"], to: ["bus", "pci", "drivers", driver])
          return .directory(.entries(["pci:\(driver)": link]))
        }
      case .holders:
        return .directory(
          .entries(
            Dictionary(
              uniqueKeysWithValues: module.holders.map {
                ($0, symlink(from: path + ["holders"], to: ["module", $0]))
              })))
      case .initstate: return .text("live")
      case .parameters:
        return module.parameters.isEmpty
          ? nil : .directory(.entries(module.parameters.mapValues(SysfsNode.file)))
      case .refcnt: return .text("\(module.holders.count)")
      case .taint: return .text("")
      case .version: return module.version.map(SysfsNode.text)
      }
    }
  }

  /// What is in it does not change.
  private static func entries(_ nodes: [String: SysfsNode]) -> SysfsDirectory {
    SysfsDirectory(names: { nodes.keys.sorted() }, child: { nodes[$0] })
  }
}

extension SysfsNode {
  /// A file that always reads the same line.
  fileprivate static func text(_ text: String) -> SysfsNode {
    .file(SysfsFile(0o444, read: { () throws(Errno) in line(text) }))
  }
}
