import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// An open descriptor of a device: everything on it goes to the device's bus driver.
final class DeviceFile: VFIOFile {
  private let vfio: VFIO
  private let device: Device
  private let ops: any DeviceOps
  private let data: DeviceData
  private let abi: ABI

  /// The device and its set count this file as open already, and `ops.open` has succeeded.
  init(
    vfio: VFIO, device: Device, ops: any DeviceOps, data: DeviceData, abi: ABI = .draft2011
  ) {
    self.abi = abi
    self.vfio = vfio
    self.device = device
    self.ops = ops
    self.data = data
  }

  var description: String { "device \(device)" }

  var requests: RequestSet { abi == .draft2011 ? .draft2011 : .device }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    try ops.ioctl(data, request, argument, from: client)
  }

  func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try ops.read(data, at: offset, into: buffer)
  }

  func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int {
    try ops.write(data, at: offset, from: buffer)
  }

  var memory: SharedMemory? { ops.memory(data) }

  func mmap(_ request: MapRequest) throws(Errno) -> MapBacking {
    try ops.mmap(data, request)
  }

  func load(at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64 {
    try ops.load(data, at: offset, width: width)
  }

  func store(at offset: UInt64, width: AccessWidth, value: UInt64) throws(Errno) {
    try ops.store(data, at: offset, width: width, value: value)
  }

  var hasPosition: Bool { abi == .draft2011 }

  var closesOnExec: Bool { abi == .mainline }

  func release() {
    ops.release(data)
    vfio.close(device)
  }
}
