import ClientAccess
import SoftIOMMU
import SystemPackage
import VFIOABI

/// A device of a bus of ours, as its bus driver gives clients access to it.
protocol BusHardware: DraftDevice {
  /// Its way to memory.
  var domainPort: DomainPort { get }
  /// What is behind the regions that are RAM, nil where none is.
  var memory: RegionMemory? { get }

  /// A client opens the device; called for each descriptor.
  func open()

  /// A descriptor is gone; called once for each `open`.
  func close()

  /// Reads at a place on the device descriptor, short across the end of a region.
  ///
  /// - Throws: `EINVAL` at or past the end, and for a region that is not there; and what the bus minds.
  func read(
    _ place: RegionOffset, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int

  /// Writes, short across the end of a region; throws as `read`, and for a read-only region.
  func write(_ place: RegionOffset, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int

  /// Answers a client that wants to map a part of the device descriptor.
  ///
  /// - Throws: `EINVAL` for what cannot be mapped.
  func map(_ request: MapRequest) throws(Errno) -> MapBacking
}

/// What a bus driver registers with a device that it has: a new one at each bind.
final class BoundHardware<Hardware: BusHardware>: Sendable {
  let hardware: Hardware

  init(_ hardware: Hardware) {
    self.hardware = hardware
  }
}

/// A bus driver of ours, such as vfio-pci: the draft ABI's device operations.
final class BusOps<Hardware: BusHardware>: DeviceOps {
  let mainline: (any DeviceOps)?
  private let claimDevice: @Sendable (Device) throws(Errno) -> Void

  /// - Parameters:
  ///   - mainline: the same for today's API.
  ///   - claim: binds a device, known by its name, to vfio.
  init(
    mainline: (any DeviceOps)?, claim: @escaping @Sendable (Device) throws(Errno) -> Void
  ) {
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
    try hardware(data).open()
  }

  func release(_ data: DeviceData) {
    (data as? BoundHardware<Hardware>)?.hardware.close()
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    return try hardware(data).read(RegionOffset(fileOffset: offset), into: buffer)
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    if buffer.isEmpty { return 0 }
    return try hardware(data).write(RegionOffset(fileOffset: offset), from: buffer)
  }

  func memory(_ data: DeviceData) -> SharedMemory? {
    (data as? BoundHardware<Hardware>)?.hardware.memory?.file
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    try hardware(data).map(request)
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    try hardware(data).ioctl(request, argument, from: client)
  }

  private func hardware(_ data: DeviceData) throws(Errno) -> Hardware {
    guard let data = data as? BoundHardware<Hardware> else { throw .invalidArgument }
    return data.hardware
  }
}
