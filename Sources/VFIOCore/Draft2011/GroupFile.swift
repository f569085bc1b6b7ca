import ClientAccess
import SystemPackage
import VFIOABI

/// An open group node, as the draft ABI has it. Groups of a merged set are interchangeable.
final class GroupFile: VFIOFile {
  let vfio: VFIO
  let id: GroupID

  /// The group counts this file as open already.
  init(vfio: VFIO, id: GroupID) {
    self.vfio = vfio
    self.id = id
  }

  var description: String { "group \(id)" }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    let request = Draft2011.Request(rawValue: request)
    if request == .groupGetInfo { return try getInfo(argument, client) }
    // Everything else is the owner's alone, before any look at the arguments.
    let caller = try client.addressSpace()
    try vfio.checkOwner(of: id, caller)
    switch request {
    case .groupMerge:
      return try merge(argument, client, caller)
    case .groupUnmerge:
      try vfio.unmerge(id, for: caller)
      return .value(0)
    case .groupGetIOMMUFD:
      return .file(try vfio.openIOMMU(of: id, for: caller))
    case .groupGetDeviceFD:
      return .file(try vfio.openDevice(client.string(at: argument), of: id, for: caller))
    default:
      throw .inappropriateIOCTLForDevice
    }
  }

  func release() {
    vfio.close(id)
  }

  private func getInfo(_ argument: UInt64, _ client: any Client) throws(Errno) -> IoctlResult {
    var info = try client.argument(Draft2011.GroupInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    info.flags = vfio.look { registry in
      var flags: Draft2011.GroupInfo.Flags = []
      guard let set = registry.set(of: id) else { return flags }
      if registry.isViable(set) { flags.insert(.viable) }
      if set.use != nil { flags.insert(.mmLocked) }
      return flags
    }
    try client.store(info, to: ClientAddress(argument))
    return .value(0)
  }

  private func merge(
    _ argument: UInt64, _ client: any Client, _ caller: any AddressSpace
  ) throws(Errno) -> IoctlResult {
    var descriptor: Int32 = 0
    try client.load(&descriptor, from: ClientAddress(argument))
    if descriptor < 0 { throw .invalidArgument }
    guard let mergee = try client.file(descriptor) as? GroupFile, mergee.vfio === vfio else {
      throw .invalidArgument
    }
    try vfio.merge(mergee.id, into: id, for: caller)
    return .value(0)
  }
}
