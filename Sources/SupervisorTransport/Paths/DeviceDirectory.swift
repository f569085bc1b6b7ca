import SystemPackage
import VFIOCore

/// `/dev/vfio` with the nodes of both ABIs: for each group of the machine one with its full name and, for
/// today's, one with its number; and the container's.
struct DeviceDirectory: EmulatedTree {
  /// A major number that the kernel gives to nobody (Documentation/admin-guide/devices.txt).
  static let major: UInt32 = 511
  private static let path = "/dev/vfio/"
  private static let container = "vfio"
  /// Where the minor numbers of today's group nodes begin; the container's is before.
  private static let mainlineMinors: UInt32 = 1 << 16

  let vfio: VFIO

  func mayContain(_ name: Substring) -> Bool {
    name == "dev" || name == Self.container || names.contains { $0 == name }
  }

  func node(at path: String) -> EmulatedNode? {
    switch path {
    case "/": return .directory(names: ["dev"], isWhole: false)
    case "/dev": return .directory(names: ["vfio"], isWhole: false)
    case "/dev/vfio": return .directory(names: names, isWhole: true)
    default:
      guard path.hasPrefix(Self.path) else { return nil }
      return device(String(path.dropFirst(Self.path.count))).map { .device($0) }
    }
  }

  private var names: [String] {
    [Self.container]
      + vfio.groups.flatMap { group in
        [group.draftName, group.mainlineName].compactMap(\.self)
      }
  }

  private func device(_ name: String) -> EmulatedDevice? {
    let vfio = vfio
    if name == Self.container {
      return EmulatedDevice(mode: 0o666, major: Self.major, minor: Self.mainlineMinors - 1) {
        _ in vfio.openContainer()
      }
    }
    for (i, group) in vfio.groups.enumerated() {
      let (id, minor) = (group.id, UInt32(i))
      if name == group.draftName {
        return EmulatedDevice(mode: 0o660, major: Self.major, minor: minor) { _ throws(Errno) in
          try vfio.openGroup(id)
        }
      }
      if name == group.mainlineName {
        return EmulatedDevice(
          mode: 0o600, major: Self.major, minor: Self.mainlineMinors + minor
        ) { client throws(Errno) in
          try vfio.openMainlineGroup(id, by: client)
        }
      }
    }
    return nil
  }
}
