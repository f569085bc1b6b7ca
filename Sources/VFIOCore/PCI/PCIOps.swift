import ClientAccess
import SystemPackage
import VFIOABI

/// What vfio-pci registers with a function that it has: a new one at each bind.
final class PCIDeviceData: Sendable {
  let function: PCIFunction

  init(_ function: PCIFunction) {
    self.function = function
  }
}

/// The bus driver vfio-pci: the draft ABI's device operations on PCI functions.
final class PCIOps: DeviceOps {
  let mainline: (any DeviceOps)?
  private let claimDevice: @Sendable (Device) throws(Errno) -> Void

  /// - Parameters:
  ///   - mainline: the same for today's API.
  ///   - claim: binds a device, known by its name, to vfio.
  init(mainline: MainlinePCIOps, claim: @escaping @Sendable (Device) throws(Errno) -> Void) {
    self.mainline = mainline
    claimDevice = claim
  }

  func match(_ device: Device, _ string: String) -> Bool {
    device.name == string
  }

  func claim(_ device: Device) throws(Errno) {
    try claimDevice(device)
  }

  func open(_ data: DeviceData) throws(Errno) {
    try function(data).open()
  }

  func release(_ data: DeviceData) {
    (data as? PCIDeviceData)?.function.close()
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    let place = RegionOffset(fileOffset: offset)
    return try function(data).read(region(place.index), at: place.offset, into: buffer)
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    let place = RegionOffset(fileOffset: offset)
    return try function(data).write(region(place.index), at: place.offset, from: buffer)
  }

  func memory(_ data: DeviceData) -> SharedMemory? {
    (data as? PCIDeviceData)?.function.memory?.file
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    try function(data).map(request, sparesMSIX: true)
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    try function(data).ioctl(request, argument, from: client)
  }

  private func function(_ data: DeviceData) throws(Errno) -> PCIFunction {
    guard let data = data as? PCIDeviceData else { throw .invalidArgument }
    return data.function
  }

  private func region(_ index: UInt32) throws(Errno) -> PCIRegion {
    guard let region = PCIRegion(rawValue: index) else { throw .invalidArgument }
    return region
  }
}
