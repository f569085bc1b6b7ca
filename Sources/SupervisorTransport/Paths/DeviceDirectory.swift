import SystemPackage
import VFIOCore

/// `/dev/vfio` with a node for each group of the machine.
struct DeviceDirectory: EmulatedTree {
  /// A major number that the kernel gives to nobody (Documentation/admin-guide/devices.txt).
  static let major: UInt32 = 511
  private static let path = "/dev/vfio/"

  let vfio: VFIO

  func mayContain(_ name: Substring) -> Bool {
    name == "dev" || name == "vfio" || vfio.groups.contains { $0.id.description == name }
  }

  func node(at path: String) -> EmulatedNode? {
    switch path {
    case "/": return .directory(names: ["dev"], isWhole: false)
    case "/dev": return .directory(names: ["vfio"], isWhole: false)
    case "/dev/vfio":
      return .directory(names: vfio.groups.map { $0.id.description }, isWhole: true)
    default:
      guard path.hasPrefix(Self.path) else { return nil }
      let name = path.dropFirst(Self.path.count)
      guard let minor = vfio.groups.firstIndex(where: { $0.id.description == name }) else {
        return nil
      }
      let (vfio, id) = (vfio, vfio.groups[minor].id)
      return .device(
        EmulatedDevice(mode: 0o660, major: Self.major, minor: UInt32(minor)) { () throws(Errno) in
          try vfio.openGroup(id)
        })
    }
  }
}
