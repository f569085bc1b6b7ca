import DeviceKit
import VFIOCore

extension SysfsDirectory {
  private enum RootName: String, CaseIterable, Sendable {
    case bus, `class`, devices, kernel, module
  }

  static func root(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(RootName.self, isShared: true) { name in
      switch name {
      case .bus: .directory(.buses(machine))
      case .class: .directory(.classes(machine))
      case .devices: .directory(.devices(machine))
      // Linux has it since 3.6.
      case .kernel:
        machine.options.dialect == .mainline
          ? .directory(.only("iommu_groups", .iommuGroups(machine))) : nil
      case .module: .directory(.modules(machine))
      }
    }
  }

  /// `/sys/bus`
  private static func buses(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true,
      names: { [PCIBus.name, PlatformBus.name] + machine.otherBuses },
      child: { name in
        switch name {
        case PCIBus.name: .directory(.pciBus(machine))
        case PlatformBus.name: .directory(.platformBus(machine))
        default:
          machine.otherBuses.contains(name) ? .directory(.otherBus(name, machine)) : nil
        }
      })
  }

  /// `/sys/class`; Linux has `vfio-dev` since 6.1.
  private static func classes(_ machine: SysfsMachine) -> SysfsDirectory {
    if machine.options.dialect == .draft2011 { return only("vfio", .vfioClass(machine)) }
    return SysfsDirectory(
      isShared: true, names: { ["vfio", "vfio-dev"] },
      child: { name in
        switch name {
        case "vfio": .directory(.vfioClass(machine))
        case "vfio-dev": .directory(.vfioDeviceClass(machine))
        default: nil
        }
      })
  }

  /// A directory with one other in it.
  private static func only(_ name: String, _ directory: SysfsDirectory) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { [name] }, child: { $0 == name ? .directory(directory) : nil })
  }

  /// `/sys/devices`
  private static func devices(_ machine: SysfsMachine) -> SysfsDirectory {
    let virtual = only("vfio", .vfioDevices(machine))
    return SysfsDirectory(
      isShared: true,
      names: {
        let others = machine.otherBuses.filter { $0 != "virtual" }
        return machine.rootBuses.map { "pci\($0)" } + others + [PlatformBus.name, "virtual"]
      },
      child: { name in
        if name == "virtual" { return .directory(virtual) }
        if name == PlatformBus.name { return .directory(.platformDevices(machine)) }
        if name.hasPrefix("pci"), let bus = PCIBusAddress(String(name.dropFirst(3))),
          "pci\(bus)" == name, machine.isRootBus(bus)
        {
          return .directory(.slots(on: bus, machine, isShared: true))
        }
        return machine.otherBuses.contains(name) ? .directory(.devices(on: name, machine)) : nil
      })
  }

  /// The functions and bridges of a bus.
  static func slots(
    on bus: PCIBusAddress, _ machine: SysfsMachine, isShared: Bool = false
  ) -> SysfsDirectory {
    SysfsDirectory(
      isShared: isShared, names: { machine.bus.addresses(on: bus).map(\.description) },
      child: { name in
        guard let (address, slot) = machine.slot(named: name), address.busAddress == bus else {
          return nil
        }
        return .directory(.pciDevice(slot, machine))
      })
  }
}
