import SystemPackage
import VFIOCore

/// The files of a device of which only VFIO knows.
private enum DeviceName: String, CaseIterable, Sendable {
  case iommuGroup = "iommu_group"
  case subsystem, uevent
}

/// Buses of plug-ins: VFIO knows their groups and devices, and nobody else has anything to say of them. So they have
/// no drivers to choose from; binding is the plug-in's business.
extension SysfsDirectory {
  /// `/sys/bus/<bus>`
  static func otherBus(_ bus: String, _ machine: SysfsMachine) -> SysfsDirectory {
    let links = SysfsDirectory(
      names: { machine.devices(on: bus).map(\.name) },
      child: { name in
        machine.device(name, on: bus).map { _ in
          symlink(
            from: ["bus", bus, "devices"], to: machine.path(ofDevice: name, on: bus))
        }
      })
    return SysfsDirectory(
      names: { ["devices"] }, child: { $0 == "devices" ? .directory(links) : nil })
  }

  /// `/sys/devices/<bus>`
  static func devices(on bus: String, _ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      names: { machine.devices(on: bus).map(\.name) },
      child: { name in
        guard let device = machine.device(name, on: bus) else { return nil }
        let place = machine.path(ofDevice: name, on: bus)
        return .directory(
          SysfsDirectory(DeviceName.self) { file in
            switch file {
            case .iommuGroup: machine.iommuGroup(device.group, of: place)
            case .subsystem: symlink(from: place, to: ["bus", bus])
            case .uevent:
              .file(
                SysfsFile(
                  0o644, read: { () throws(Errno) in [] },
                  write: { text throws(Errno) in try takeUEvent(text) }))
            }
          })
      })
  }
}

extension SysfsMachine {
  /// The buses of plug-ins that have devices, in order; not those whose names are no file's.
  var otherBuses: [String] {
    let known = [PCIBus.name, PlatformBus.name]
    return vfio.buses.filter { !known.contains($0) && isFileName($0) }.sorted()
  }

  /// The devices of a plug-in's bus, in the order of their names.
  func devices(on bus: String) -> [VFIOCore.Device] {
    vfio.groups.filter { $0.id.bus == bus }.flatMap(\.members).map(\.device)
      .filter { isFileName($0.name) }.sorted { $0.name < $1.name }
  }

  func device(_ name: String, on bus: String) -> VFIOCore.Device? {
    isFileName(name) ? vfio.device(named: name, on: bus) : nil
  }

  func path(ofDevice name: String, on bus: String) -> [String] { ["devices", bus, name] }
}

/// Whether a plug-in's name can be that of a file.
func isFileName(_ name: String) -> Bool {
  !name.isEmpty && name != "." && name != ".." && !name.contains("/")
}
