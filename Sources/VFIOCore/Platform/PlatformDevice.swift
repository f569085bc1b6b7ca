import DeviceKit
import Logging
import SoftIOMMU
import Synchronization
import SystemPackage
import VFIOABI

/// A platform device: what its model drives, and how vfio-platform gives a client access to it.
final class PlatformDevice: DraftDevice, LineInterrupts {
  let kind: PlatformDeviceKind
  let pins: PlatformPins
  private let model: any PlatformDeviceModel
  private let openCount = Mutex(0)

  init(_ kind: PlatformDeviceKind, scheduler: any Scheduler, logger: Logger) {
    self.kind = kind
    pins = PlatformPins(kind.description, scheduler: scheduler, logger: logger)
    model = kind.make(pins)
  }

  func open() {
    openCount.withLock { count in
      count += 1
      if count == 1 { pins.quiet() }
    }
  }

  /// A descriptor is gone; the last one disables the interrupts, drops their eventfds and stops the device.
  func close() {
    openCount.withLock { count in
      count -= 1
      guard count == 0 else { return }
      pins.lines.clearAll()
      model.stop()
    }
  }

  /// Reads at `offset` of a region, short across its end.
  ///
  /// - Throws: `EINVAL` at or past the end, and for a region that is not there.
  func read(
    _ place: RegionOffset, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let (region, count) = try bytes(place, buffer.count)
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    readRegisters(at: place.offset, into: buffer) { offset, width in
      model.read(region: region, offset: offset, width: width)
    }
    return count
  }

  /// Writes at `offset` of a region, short across its end; throws as `read`, and for a read-only region.
  func write(
    _ place: RegionOffset, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    let (region, count) = try bytes(place, buffer.count)
    if kind.description.regions[region].isReadOnly { throw .invalidArgument }
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    writeRegisters(at: place.offset, from: buffer) { offset, width, value in
      model.write(region: region, offset: offset, width: width, value: value)
    }
    return count
  }

  private func bytes(
    _ place: RegionOffset, _ wanted: Int
  ) throws(Errno) -> (region: Int, count: Int) {
    guard place.index < UInt32(regionCount) else { throw .invalidArgument }
    let region = Int(place.index)
    let size = kind.description.regions[region].size
    guard place.offset < size else { throw .invalidArgument }
    return (region, Int(min(UInt64(wanted), size - place.offset)))
  }

  // MARK: - DraftDevice

  var flags: Draft2011.DeviceInfo.Flags { kind.description.hasReset ? .reset : [] }
  var regionCount: Int { kind.description.regions.count }
  var interrupts: InterruptLines { pins.lines }

  func region(_ index: Int) -> (size: UInt64, flags: Draft2011.RegionInfo.Flags) {
    let region = kind.description.regions[index]
    return (region.size, region.isReadOnly ? .readOnly : [])
  }

  func reset() throws(Errno) {
    guard kind.description.hasReset else { throw .invalidArgument }
    model.reset()
  }
}

/// The wires of a platform device, which its model acts on.
final class PlatformPins: PlatformDevicePort {
  static let loudReports = 8

  /// Attached to a domain by the core while the group is in use.
  let domainPort = DomainPort()
  let lines: InterruptLines
  private let scheduler: any Scheduler
  private let logger: Logger
  /// Reports that may still be loud in the log; the client could make any number of them.
  private let louds = Mutex(PlatformPins.loudReports)

  init(_ description: PlatformDeviceDescription, scheduler: any Scheduler, logger: Logger) {
    lines = InterruptLines(description.interrupts.map { .init(isLevel: $0 == .level) })
    self.scheduler = scheduler
    self.logger = logger
  }

  /// A new client starts with a quiet log.
  func quiet() {
    louds.withLock { $0 = Self.loudReports }
  }

  var dma: any DMAPort { domainPort }

  func setInterrupt(_ index: Int, asserted: Bool) {
    // A wire that the description does not have leads nowhere.
    do throws(Errno) { try lines.set(index, asserted: asserted) } catch {}
  }

  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    scheduler.after(delay, work)
  }

  func report(_ sentence: String) {
    let isLoud = louds.withLock { louds in
      if louds == 0 { return false }
      louds -= 1
      return true
    }
    logger.log(level: isLoud ? .warning : .debug, "\(sentence)")
  }
}
