import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// The bus driver vfio-pci for clients of today's API (drivers/vfio/pci/vfio_pci_core.c).
final class MainlinePCIOps: DeviceOps {
  /// What a reset of the bus takes along.
  let neighbours: @Sendable (PCIFunction) -> PCIBusReset?

  init(neighbours: @escaping @Sendable (PCIFunction) -> PCIBusReset?) {
    self.neighbours = neighbours
  }

  /// A name, and after a blank options. The only one there is, `vf_token`, is of no use for our functions.
  func match(_ device: Device, _ string: String) throws(Errno) -> Bool {
    guard string.hasPrefix(device.name) else { return false }
    let options = string.dropFirst(device.name.count)
    if options.isEmpty { return true }
    guard options.first == " " else { return false }
    if !options.allSatisfy(\.isWhitespace) { throw .invalidArgument }
    return true
  }

  func open(_ data: DeviceData) throws(Errno) {
    try function(data).open(resets: true)
  }

  func release(_ data: DeviceData) {
    guard let function = (data as? BoundHardware<PCIFunction>)?.hardware else { return }
    function.close(resets: true)
    resetBusWhileIdle(of: function)
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let (function, region, start) = try place(data, offset)
    if buffer.isEmpty { return 0 }
    // SAFETY: the prefix is a part of the buffer.
    let part = UnsafeMutableRawBufferPointer(
      rebasing: buffer.prefix(inside(region, start, buffer.count, of: function.size(of: region))))
    let count = part.isEmpty ? 0 : try function.read(region, at: start, into: part)
    return try checked(count, of: buffer.count, region)
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    let (function, region, start) = try place(data, offset)
    if buffer.isEmpty { return 0 }
    // SAFETY: the prefix is a part of the buffer.
    let part = UnsafeRawBufferPointer(
      rebasing: buffer.prefix(inside(region, start, buffer.count, of: function.size(of: region))))
    let count = part.isEmpty ? 0 : try function.write(region, at: start, from: part)
    return try checked(count, of: buffer.count, region)
  }

  func memory(_ data: DeviceData) -> SharedMemory? {
    (data as? BoundHardware<PCIFunction>)?.hardware.memory?.file
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    let function = try function(data)
    function.events.access()
    let place = RegionOffset(fileOffset: request.offset)
    guard let region = PCIRegion(rawValue: place.index),
      let size = function.mappableRegisters(of: region)
    else { return try function.map(request, sparesMSIX: false) }
    guard request.isShared, request.length > 0, place.offset < size,
      request.length <= size - place.offset, place.offset % SharedMemory.pageSize == 0
    else { throw .invalidArgument }
    return MapBacking(memory: nil, offset: request.offset)
  }

  func load(
    _ data: DeviceData, at offset: UInt64, width: AccessWidth
  ) throws(Errno) -> UInt64 {
    let (function, region, start) = try place(data, offset)
    return try function.load(region, at: start, width: width)
  }

  func store(
    _ data: DeviceData, at offset: UInt64, width: AccessWidth, value: UInt64
  ) throws(Errno) {
    let (function, region, start) = try place(data, offset)
    try function.store(region, at: start, width: width, value: value)
  }

  func request(_ data: DeviceData) {
    (data as? BoundHardware<PCIFunction>)?.hardware.events.signal(.request)
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    let function = try function(data)
    function.events.access()
    switch Mainline.DeviceRequest(rawValue: request) {
    case .getInfo: try getInfo(function, argument, client)
    case .getRegionInfo: try getRegionInfo(function, argument, client)
    case .getIRQInfo: try getIRQInfo(function, argument, client)
    case .setIRQs: try setIRQs(function, argument, client)
    case .reset: try function.reset()
    case .getPCIHotResetInfo: try getHotResetInfo(function, argument, client)
    case .pciHotReset: try hotReset(function, argument, client)
    case .ioeventfd: try ioeventfd(function, argument, client)
    case .feature: try feature(function, argument, client)
    case nil: throw .inappropriateIOCTLForDevice
    }
    return .value(0)
  }

  private func function(_ data: DeviceData) throws(Errno) -> PCIFunction {
    guard let data = data as? BoundHardware<PCIFunction> else { throw .invalidArgument }
    return data.hardware
  }

  /// - Throws: `EINVAL` for a region that there is not, before any look at the length.
  private func place(
    _ data: DeviceData, _ offset: UInt64
  ) throws(Errno) -> (PCIFunction, PCIRegion, UInt64) {
    let function = try function(data)
    let place = RegionOffset(fileOffset: offset)
    guard let region = PCIRegion(rawValue: place.index) else { throw .invalidArgument }
    function.events.access()
    return (function, region, place.offset)
  }
}
