import ClientAccess
import SystemPackage
import VFIOABI

/// What vfio-platform registers with a device that it has: a new one at each bind.
final class PlatformDeviceData: Sendable {
  let device: PlatformDevice

  init(_ device: PlatformDevice) {
    self.device = device
  }
}

/// The bus driver vfio-platform: the draft ABI's device operations on platform devices.
final class PlatformOps: DeviceOps {
  private let claimDevice: @Sendable (Device) throws(Errno) -> Void

  /// - Parameter claim: binds a device, known by its name, to vfio.
  init(claim: @escaping @Sendable (Device) throws(Errno) -> Void) {
    claimDevice = claim
  }

  func match(_ device: Device, _ string: String) -> Bool {
    device.name == string
  }

  func claim(_ device: Device) throws(Errno) {
    try claimDevice(device)
  }

  func open(_ data: DeviceData) throws(Errno) {
    try device(data).open()
  }

  func release(_ data: DeviceData) {
    (data as? PlatformDeviceData)?.device.close()
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    return try device(data).read(RegionOffset(fileOffset: offset), into: buffer)
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    return try device(data).write(RegionOffset(fileOffset: offset), from: buffer)
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    try device(data).ioctl(request, argument, from: client)
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    try device(data).map(request)
  }

  func memory(_ data: DeviceData) -> SharedMemory? {
    (data as? PlatformDeviceData)?.device.memory?.file
  }

  private func device(_ data: DeviceData) throws(Errno) -> PlatformDevice {
    guard let data = data as? PlatformDeviceData else { throw .invalidArgument }
    return data.device
  }
}
