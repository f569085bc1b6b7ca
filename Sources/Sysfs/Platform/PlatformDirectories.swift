import SystemPackage
import VFIOCore

/// The files of the bus (drivers/base/bus.c).
private enum BusName: String, CaseIterable, Sendable {
  case devices, drivers
  case driversAutoprobe = "drivers_autoprobe"
  case driversProbe = "drivers_probe"
}

/// The files of a driver: no `new_id`, for nothing on this bus has an ID.
private enum DriverName: String, CaseIterable, Sendable {
  case bind, unbind
}

/// The files of a device (drivers/base/platform.c).
private enum DeviceName: String, CaseIterable, Sendable {
  case driver
  case driverOverride = "driver_override"
  case iommuGroup = "iommu_group"
  case modalias, subsystem, uevent
}

extension SysfsDirectory {
  /// `/sys/bus/platform`
  static func platformBus(_ machine: SysfsMachine) -> SysfsDirectory {
    let drivers = machine.platformDrivers
    return SysfsDirectory(BusName.self, isShared: true) { name in
      switch name {
      case .devices: .directory(.platformLinks(machine))
      case .drivers:
        .directory(
          SysfsDirectory(
            isShared: true, names: { drivers.names },
            child: { name in
              drivers.driver(named: name).map { .directory(.driver($0, name, machine)) }
            }))
      case .driversAutoprobe:
        .file(
          SysfsFile(
            0o644,
            read: { () throws(Errno) in line(drivers.probesByItself ? "1" : "0") },
            write: { text throws(Errno) in
              drivers.setProbesByItself(text)
              return .done
            }))
      case .driversProbe: .action { text throws(Errno) in try drivers.probe(text) }
      }
    }
  }

  /// `/sys/bus/platform/devices`
  private static func platformLinks(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.platform.devices.map(\.name) },
      child: { name in
        machine.platform.device(named: name).map {
          symlink(
            from: ["bus", "platform", "devices"],
            to: SysfsMachine.path(ofPlatformDevice: $0.name))
        }
      })
  }

  private static func driver(
    _ driver: BusDriver, _ driverName: String, _ machine: SysfsMachine
  ) -> SysfsDirectory {
    let drivers = machine.platformDrivers
    let files = SysfsDirectory(DriverName.self) { name in
      switch name {
      case .bind: .action { text throws(Errno) in try drivers.bind(driver, text) }
      case .unbind:
        .file(
          SysfsFile(
            0o200, write: { text throws(Errno) in try drivers.unbind(driver, text) }))
      }
    }
    return .devices(of: driver, drivers, at: ["bus", "platform", "drivers", driverName], files) {
      SysfsMachine.path(ofPlatformDevice: $0)
    }
  }

  /// `/sys/devices/platform`
  static func platformDevices(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.platform.devices.map(\.name) },
      child: { name in
        machine.platform.device(named: name).map { device in
          .directory(SysfsDirectory(DeviceName.self) { device.node($0, machine) })
        }
      })
  }
}

extension PlatformBus.DeviceStatus {
  /// As `platform_uevent` and `modalias_show` make it for a device without a device tree's node.
  private var modalias: String { "platform:\(name)" }

  fileprivate func node(_ file: DeviceName, _ machine: SysfsMachine) -> SysfsNode? {
    let (name, modalias) = (name, modalias)
    let place = SysfsMachine.path(ofPlatformDevice: name)
    switch file {
    case .driver:
      return machine.platformDrivers.name(of: driver).map {
        symlink(from: place, to: ["bus", "platform", "drivers", $0])
      }
    case .driverOverride:
      return .file(
        SysfsFile(
          0o644,
          read: { () throws(Errno) in
            line(try machine.live(name).driverOverride ?? "(null)")
          },
          write: { text throws(Errno) in
            try machine.platformDrivers.setOverride(name, text)
            return .done
          }))
    case .iommuGroup:
      return machine.iommuGroup(group, of: place)
    case .modalias:
      return SysfsFile.fixed(modalias)
    case .subsystem:
      return symlink(from: place, to: ["bus", "platform"])
    case .uevent:
      return .file(
        SysfsFile(
          0o644,
          read: { () throws(Errno) in
            let driver = machine.platformDrivers.name(of: try machine.live(name).driver)
            return Array(((driver.map { "DRIVER=\($0)\n" } ?? "") + "MODALIAS=\(modalias)\n").utf8)
          },
          write: { text throws(Errno) in try takeUEvent(text) }))
    }
  }
}

extension SysfsMachine {
  static func path(ofPlatformDevice name: String) -> [String] {
    ["devices", "platform", name]
  }

  /// The device as it is now, for a file that may be read long after it was looked up.
  fileprivate func live(_ name: String) throws(Errno) -> PlatformBus.DeviceStatus {
    guard let device = platform.device(named: name) else { throw .operationNotSupportedByDevice }
    return device
  }
}
