import DeviceKit
import SystemPackage
import VFIOCore

/// The files of a group's device (drivers/base/core.c).
private enum GroupName: String, CaseIterable, Sendable {
  case dev, devices, subsystem, uevent
}

/// The files of the IOMMU's group (drivers/iommu/iommu.c).
private enum IOMMUGroupName: String, CaseIterable, Sendable {
  case devices, name
  case reservedRegions = "reserved_regions"
  case type
}

extension SysfsDirectory {
  /// `/sys/class/vfio`
  static func vfioClass(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.groupNames },
      child: { name in
        machine.group(named: name).map {
          symlink(from: ["class", "vfio"], to: machine.path(of: $0))
        }
      })
  }

  /// `/sys/devices/virtual/vfio`
  static func vfioDevices(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.groupNames },
      child: { name in machine.group(named: name).map { .directory(.group($0, machine)) } })
  }

  private static func group(_ group: VFIOCore.GroupID, _ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(GroupName.self) { name in
      switch name {
      case .dev:
        guard machine.options.deviceNumber(group) != nil else { return nil }
        return .file(
          SysfsFile(
            0o444,
            read: { () throws(Errno) in
              guard let number = machine.options.deviceNumber(group) else {
                throw .operationNotSupportedByDevice
              }
              return line("\(number.major):\(number.minor)")
            }))
      case .devices:
        // The document's; Linux has it in /sys/kernel/iommu_groups.
        guard machine.options.dialect == .draft2011 else { return nil }
        let path = machine.path(of: group) + ["devices"]
        return .directory(.members(of: group, at: path, machine))
      case .subsystem:
        return symlink(from: machine.path(of: group), to: ["class", "vfio"])
      case .uevent:
        return .file(
          SysfsFile(
            0o644, read: { () throws(Errno) in Array(machine.uevent(of: group).utf8) },
            write: { text throws(Errno) in try takeUEvent(text) }))
      }
    }
  }

  /// Symlinks to the devices of a group.
  private static func members(
    of group: VFIOCore.GroupID, at path: [String], _ machine: SysfsMachine
  ) -> SysfsDirectory {
    SysfsDirectory(
      names: {
        machine.vfio.group(group)?.members.map(\.device.name).filter(isFileName) ?? []
      },
      child: { name in
        machine.path(of: VFIOCore.Device(name: name, group: group)).map {
          symlink(from: path, to: $0)
        }
      })
  }

  /// `/sys/kernel/iommu_groups` (drivers/iommu/iommu.c)
  static func iommuGroups(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.iommuGroups.map { "\($0.number)" } },
      child: { name in
        guard let group = machine.iommuGroup(named: name) else { return nil }
        let path = SysfsMachine.path(ofIOMMUGroup: group) + ["devices"]
        let hasIOMMU = machine.vfio.group(group)?.hasIOMMU ?? true
        return .directory(
          SysfsDirectory(IOMMUGroupName.self) { name in
            switch name {
            case .devices: .directory(.members(of: group, at: path, machine))
            // Only vfio gives its groups one (drivers/vfio/vfio_main.c).
            case .name: hasIOMMU ? nil : SysfsFile.fixed("vfio-noiommu")
            // The window of interrupt messages on x86, which no mapping may cover.
            case .reservedRegions:
              hasIOMMU
                ? SysfsFile.fixed("0x00000000fee00000 0x00000000feefffff msi")
                : .file(SysfsFile(0o444, read: { () throws(Errno) in [] }))
            // Of the domain for drivers of the host, which does not change here: none of them does DMA.
            case .type: SysfsFile.fixed(hasIOMMU ? "DMA" : "unknown")
            }
          })
      })
  }
}

extension SysfsMachine {
  static func path(ofIOMMUGroup group: VFIOCore.GroupID) -> [String] {
    ["kernel", "iommu_groups", "\(group.number)"]
  }

  /// A device's `iommu_group`: the document's file or today's symlink.
  ///
  /// - Parameter place: where the device stands.
  func iommuGroup(_ group: VFIOCore.GroupID, of place: [String]) -> SysfsNode? {
    guard isShown(group) else { return nil }
    switch options.dialect {
    case .draft2011:
      let text = line("\(group.number)")
      return .file(SysfsFile(0o444, read: { () throws(Errno) in text }))
    case .mainline:
      // Linux counts all groups together; those of other buses than PCI have no place there.
      guard group.bus == PCIBus.name else { return nil }
      return symlink(from: place, to: Self.path(ofIOMMUGroup: group))
    }
  }

  /// The IOMMU's groups, in order.
  fileprivate var iommuGroups: [VFIOCore.GroupID] {
    vfio.groupIDs.filter { $0.bus == PCIBus.name && isShown($0) }
  }

  /// A group without an IOMMU is none of the IOMMU's. In Linux vfio makes one for as long as it has the device
  /// (`vfio_noiommu_group_alloc`).
  private func isShown(_ group: VFIOCore.GroupID) -> Bool {
    guard let status = vfio.group(group) else { return false }
    return status.hasIOMMU || nodeName(of: status) != nil
  }

  fileprivate func iommuGroup(named name: String) -> VFIOCore.GroupID? {
    guard let number = UInt32(name), "\(number)" == name else { return nil }
    let id = VFIOCore.GroupID(bus: PCIBus.name, number: number)
    return isShown(id) ? id : nil
  }

  /// The name of a group's node in `/dev/vfio` and of its directory here: in the document every group has one, in
  /// Linux those that vfio-pci has a device of.
  private func nodeName(of group: GroupStatus) -> String? {
    switch options.dialect {
    case .draft2011: group.draftName
    case .mainline: group.mainlineName
    }
  }

  func nodeName(of group: VFIOCore.GroupID) -> String? {
    vfio.group(group).flatMap(nodeName)
  }

  /// The names of the groups that have a node, in order.
  fileprivate var groupNames: [String] {
    vfio.groups.compactMap(nodeName)
  }

  fileprivate func group(named name: String) -> VFIOCore.GroupID? {
    vfio.group(ofNode: name).flatMap { nodeName(of: $0) == name ? $0.id : nil }
  }

  fileprivate func uevent(of group: VFIOCore.GroupID) -> String {
    let number =
      options.deviceNumber(group).map { "MAJOR=\($0.major)\nMINOR=\($0.minor)\n" } ?? ""
    return number + "DEVNAME=vfio/\(nodeName(of: group) ?? "")\n"
  }
}
