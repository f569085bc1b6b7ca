import SystemPackage
import VFIOCore

/// `/dev/vfio` with the nodes of both ABIs: for each group of the machine one with its full name and, for
/// today's, one with its number; and the container's.
struct DeviceDirectory: EmulatedTree {
  /// A major number that the kernel gives to nobody (Documentation/admin-guide/devices.txt).
  static let major: UInt32 = 511
  private static let container = "vfio"
  /// Where the minor numbers of today's group nodes begin; the container's is before.
  private static let mainlineMinors: UInt32 = 1 << 16

  let vfio: VFIO

  /// Where a group has nodes, or would have them.
  static func paths(of group: VFIOCore.GroupID) -> [String] {
    let mainline = group.bus == PCIBus.name ? ["\(group.number)", group.noIOMMUName] : []
    return ([group.description] + mainline).map { "/dev/vfio/\($0)" }
  }

  func mayContain(_ name: Substring) -> Bool {
    name == "dev" || name == Self.container || vfio.group(ofNode: String(name)) != nil
  }

  var root: EmulatedDirectory {
    .beside("dev", .beside("vfio", nodes))
  }

  private var nodes: EmulatedDirectory {
    EmulatedDirectory(
      isWhole: true,
      names: {
        [Self.container]
          + vfio.groups.flatMap { group in
            [group.draftName, group.mainlineName].compactMap(\.self)
          }
      },
      child: { device($0).map { .device($0) } })
  }

  private func device(_ name: String) -> EmulatedDevice? {
    let vfio = vfio
    if name == Self.container {
      return EmulatedDevice(mode: 0o666, major: Self.major, minor: Self.mainlineMinors - 1) {
        _ in vfio.openContainer()
      }
    }
    guard let group = vfio.group(ofNode: name), let minor = vfio.minor(of: group.id) else {
      return nil
    }
    let id = group.id
    if name == group.draftName {
      return EmulatedDevice(mode: 0o660, major: Self.major, minor: minor) { _ throws(Errno) in
        try vfio.openGroup(id)
      }
    }
    return EmulatedDevice(mode: 0o600, major: Self.major, minor: Self.mainlineMinors + minor) {
      client throws(Errno) in
      try vfio.openMainlineGroup(id, by: client)
    }
  }
}
