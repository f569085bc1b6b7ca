import DeviceKit
import SystemPackage
import VFIOCore

/// The files of the bus (drivers/base/bus.c, drivers/pci/pci-sysfs.c).
private enum BusName: String, CaseIterable, Sendable {
  case devices, drivers
  case driversAutoprobe = "drivers_autoprobe"
  case driversProbe = "drivers_probe"
  case rescan
}

/// The files of a driver.
private enum DriverName: String, CaseIterable, Sendable {
  case bind, module
  case newID = "new_id"
  case removeID = "remove_id"
  case unbind
}

extension SysfsDirectory {
  /// `/sys/bus/pci`
  static func pciBus(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(BusName.self, isShared: true) { name in
      switch name {
      case .devices: .directory(.pciDevices(machine))
      case .drivers: .directory(.pciDrivers(machine))
      case .driversAutoprobe:
        .file(
          SysfsFile(
            0o644,
            read: { () throws(Errno) in line(machine.drivers.probesByItself ? "1" : "0") },
            write: { text throws(Errno) in
              machine.drivers.setProbesByItself(text)
              return .done
            }))
      case .driversProbe: .action { text throws(Errno) in try machine.drivers.probePCI(text) }
      case .rescan: .action { text throws(Errno) in try machine.drivers.rescan(nil, text) }
      }
    }
  }

  /// `/sys/bus/pci/devices`: symlinks to all functions and bridges.
  private static func pciDevices(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.bus.addresses.map(\.description) },
      child: { name in
        machine.slot(named: name).map {
          symlink(from: ["bus", "pci", "devices"], to: machine.path(of: $0.address))
        }
      })
  }

  /// `/sys/bus/pci/drivers`
  private static func pciDrivers(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.drivers.names },
      child: { name in
        machine.drivers.driver(named: name).map { .directory(.driver($0, name, machine)) }
      })
  }

  private static func driver(
    _ driver: BusDriver, _ driverName: String, _ machine: SysfsMachine
  ) -> SysfsDirectory {
    let drivers = machine.drivers
    let files = SysfsDirectory(DriverName.self) { name in
      switch name {
      case .bind: .action { text throws(Errno) in try drivers.bind(driver, text) }
      case .module:
        symlink(
          from: ["bus", "pci", "drivers", driverName],
          to: ["module", KernelModule.name(ofDriver: driverName)])
      case .newID: .action { text throws(Errno) in try drivers.addID(driver, text) }
      case .removeID: .action { text throws(Errno) in try drivers.removeID(driver, text) }
      case .unbind:
        .file(
          SysfsFile(
            0o200, write: { text throws(Errno) in try drivers.unbind(driver, text) }))
      }
    }
    return .devices(of: driver, drivers, at: ["bus", "pci", "drivers", driverName], files) {
      machine.path(of: $0)
    }
  }

  /// A driver's files, and symlinks to the devices that it has.
  ///
  /// - Parameter path: where a device stands.
  static func devices<Bus: DriverBus>(
    of driver: BusDriver, _ core: DriverCore<Bus>, at place: [String], _ files: SysfsDirectory,
    path: @escaping @Sendable (Bus.Device.Address) -> [String]
  ) -> SysfsDirectory {
    SysfsDirectory(
      names: {
        core.bus.drivenDevices.filter { $0.driver == driver }.map(\.address.description)
          + files.names
      },
      child: { name in
        if let file = files[name] { return file }
        guard let device = core.bus.device(called: name), device.driver == driver else {
          return nil
        }
        return symlink(from: place, to: path(device.address))
      })
  }
}

extension SysfsNode {
  /// A file to write to, whose effect is there at once.
  static func action(
    _ permissions: UInt16 = 0o200,
    _ act: @escaping @Sendable ([UInt8]) throws(Errno) -> Void
  ) -> SysfsNode {
    .file(
      SysfsFile(
        permissions,
        write: { text throws(Errno) in
          try act(text)
          return .done
        }))
  }
}
