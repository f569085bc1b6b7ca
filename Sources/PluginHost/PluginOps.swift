import CPlugin
import ClientAccess
import Logging
import SystemPackage
import VFIOABI
import VFIOCore

/// A plug-in's `struct vfio_device_ops` as the core calls it.
///
/// @unchecked: functions of a library that is never unloaded, which says that they may come on any thread.
final class PluginOps: DeviceOps, @unchecked Sendable {
  private let ops: vfio_device_ops
  private let device: PluginDevice
  private let answers: PluginAnswers

  init(_ ops: vfio_device_ops, of device: PluginDevice, logger: Logger) {
    self.ops = ops
    self.device = device
    answers = PluginAnswers(logger: logger)
  }

  func match(_ device: Device, _ string: String) -> Bool {
    guard let match = ops.match else { return device.name == string }
    // SAFETY: both texts outlive the call, and the copy lives as long as we do.
    return PluginCall.callback { string.withCString { match(self.device.copy.pointer, $0) } }
  }

  func claim(_ device: Device) throws(Errno) {
    guard let claim = ops.claim else { throw .notSupportedOnSocket }
    // SAFETY: the copy lives as long as we do.
    try answers.checkZero(PluginCall.callback { claim(self.device.copy.pointer) }, "claim")
  }

  func open(_ data: DeviceData) throws(Errno) {
    if let open = ops.open {
      let pointer = try pointer(data)
      // SAFETY: the plug-in's own pointer, which it bound the device with and has not got back yet.
      try answers.checkZero(PluginCall.callback { open(pointer) }, "open")
    }
    device.opened()
  }

  func release(_ data: DeviceData) {
    device.closed()
    guard let release = ops.release, let data = data as? PluginData else { return }
    // SAFETY: as in `open`.
    PluginCall.callback { release(data.pointer) }
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let place = RegionOffset(fileOffset: offset)
    if let (window, count) = try device.memoryAccess(place, buffer.count, isWrite: false) {
      // SAFETY: `count` is at most the buffer's.
      window.read(
        at: Int(place.offset), into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
      return count
    }
    guard let read = ops.read, var position = off_t(exactly: offset) else {
      throw .invalidArgument
    }
    let pointer = try pointer(data)
    // What the plug-in leaves out must not show the client what was there before.
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    // SAFETY: the buffer outlives the call and has `count` bytes.
    let result = PluginCall.callback {
      read(pointer, buffer.baseAddress, buffer.count, &position)
    }
    return try answers.count(result, upTo: buffer.count, "read")
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    let place = RegionOffset(fileOffset: offset)
    if let (window, count) = try device.memoryAccess(place, buffer.count, isWrite: true) {
      // SAFETY: `count` is at most the buffer's.
      window.write(
        at: Int(place.offset), from: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return count
    }
    guard let write = ops.write, var position = off_t(exactly: offset) else {
      throw .invalidArgument
    }
    let pointer = try pointer(data)
    // SAFETY: the buffer outlives the call and has `count` bytes.
    let result = PluginCall.callback {
      write(pointer, buffer.baseAddress, buffer.count, &position)
    }
    return try answers.count(result, upTo: buffer.count, "write")
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    if let ioctl = ops.ioctl {
      let pointer = try pointer(data)
      // SAFETY: as in `open`; the argument is a number to the plug-in, as it is to us.
      let result = PluginCall.callback(for: client) { ioctl(pointer, request, UInt(argument)) }
      let isUnknown = result == -Int(Errno.inappropriateIOCTLForDevice.rawValue)
      if !isUnknown || !device.isDescribed {
        return .value(Int32(try answers.count(result, upTo: Int(Int32.max), "ioctl")))
      }
    }
    guard device.isDescribed else { throw .inappropriateIOCTLForDevice }
    return try device.ioctl(request, argument, from: client)
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    guard let memory = device.memory else { throw .invalidArgument }
    let backing = try memory.backing(request, areas: device.mappableAreas)
    if let mmap = ops.mmap {
      let pointer = try pointer(data)
      var area = vfio_vma(
        size: UInt32(MemoryLayout<vfio_vma>.size), reserved: 0, offset: request.offset,
        length: request.length)
      // SAFETY: as in `open`; the area outlives the call.
      try answers.checkZero(PluginCall.callback { mmap(pointer, &area) }, "mmap")
    }
    return backing
  }

  func memory(_ data: DeviceData) -> SharedMemory? { device.memory?.file }

  private func pointer(_ data: DeviceData) throws(Errno) -> UnsafeMutableRawPointer? {
    guard let data = data as? PluginData else { throw .invalidArgument }
    return data.pointer
  }
}
