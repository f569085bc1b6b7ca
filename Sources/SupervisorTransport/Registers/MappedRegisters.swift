import ClientAccess
import DeviceKit
import SystemPackage
import VFIOCore

/// What a client maps of a device's registers where its descriptor is of the device's RAM: an empty file, on
/// which each access raises SIGBUS.
final class MappedRegisters: VFIOFile {
  private let device: OpenFile

  /// Keeps the device open until it is released itself.
  ///
  /// - Throws: `EBADF` where it is closed already.
  init(of device: OpenFile) throws(Errno) {
    try device.hold()
    self.device = device
  }

  var description: String { "registers of \(device.file.description)" }

  /// The client never has a descriptor of it for longer than its mmap takes.
  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    throw .inappropriateIOCTLForDevice
  }

  func mmap(_ request: MapRequest) throws(Errno) -> MapBacking {
    let backing = try device.file.mmap(request)
    if backing.memory != nil { throw .invalidArgument }
    return backing
  }

  func load(at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64 {
    try device.file.load(at: offset, width: width)
  }

  func store(at offset: UInt64, width: AccessWidth, value: UInt64) throws(Errno) {
    try device.file.store(at: offset, width: width, value: value)
  }

  func release() {
    device.drop()
  }
}
