import ClientAccess
import SystemPackage
import VFIOABI

/// An open group node of today's API (drivers/vfio/vfio_main.c).
final class MainlineGroupFile: VFIOFile {
  let vfio: VFIO
  let id: GroupID

  /// The group counts this file as open already.
  init(vfio: VFIO, id: GroupID) {
    self.vfio = vfio
    self.id = id
  }

  var description: String { "group \(id.number)" }

  var requests: RequestSet { .group }

  var hasPosition: Bool { false }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    switch Mainline.GroupRequest(rawValue: request) {
    case .getStatus:
      try getStatus(argument, client)
    case .setContainer:
      var descriptor: Int32 = 0
      try client.load(&descriptor, from: ClientAddress(argument))
      guard let container = try client.file(descriptor) as? ContainerFile, container.vfio === vfio
      else { throw .invalidArgument }
      try vfio.attach(id, to: container.id, by: client)
    case .unsetContainer:
      try vfio.detach(id)
    case .getDeviceFD:
      return .file(try vfio.openMainlineDevice(client.string(at: argument), of: id, by: client))
    case nil:
      throw .inappropriateIOCTLForDevice
    }
    return .value(0)
  }

  func release() {
    vfio.close(id)
  }

  private func getStatus(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var status = try client.argument(Mainline.GroupStatus.self, at: argument)
    status.flags = vfio.look { registry in
      // A group in a container has nobody to fear: no driver of the host gets one of its devices.
      if registry.containerSet(of: id) != nil { return [.viable, .containerSet] }
      return registry.isSafe(id) ? .viable : []
    }
    try client.store(status, to: ClientAddress(argument))
  }
}
