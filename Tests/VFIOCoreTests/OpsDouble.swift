import DeviceKit
import Synchronization
import SystemPackage
import TestSupport
import VFIOCore

/// A bus driver whose answers a test sets; it is its devices' data as well.
final class OpsDouble: DeviceOps {
  struct Answers: Sendable {
    var openError: Errno?
    var claim: (@Sendable (Device) throws(Errno) -> Void)?
    /// Run in the middle of a call: what happens while the core waits for its bus driver.
    var onMatch: (@Sendable () -> Void)?
    var onOpen: (@Sendable () -> Void)?
    var onRelease: (@Sendable () -> Void)?
  }

  let answers = Mutex(Answers())
  let log = Log()

  func match(_ device: Device, _ string: String) -> Bool {
    answers.withLock { $0.onMatch }?()
    return string == "any" || string == device.name
  }

  func claim(_ device: Device) throws(Errno) {
    log.add("claim \(device)")
    try answers.withLock { $0.claim }?(device)
  }

  func open(_ data: DeviceData) throws(Errno) {
    log.add("open")
    answers.withLock { $0.onOpen }?()
    if let error = answers.withLock({ $0.openError }) { throw error }
  }

  func release(_ data: DeviceData) {
    log.add("release")
    answers.withLock { $0.onRelease }?()
  }

  func read(
    _ data: DeviceData, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    log.add("read \(offset) \(buffer.count)")
    return buffer.count
  }

  func write(
    _ data: DeviceData, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    log.add("write \(offset) \(buffer.count)")
    return buffer.count
  }

  func ioctl(
    _ data: DeviceData, _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    log.add("ioctl \(request) \(argument)")
    return .value(7)
  }

  func mmap(_ data: DeviceData, _ request: MapRequest) throws(Errno) -> MapBacking {
    log.add("mmap \(request.offset)")
    throw .invalidArgument
  }
}
