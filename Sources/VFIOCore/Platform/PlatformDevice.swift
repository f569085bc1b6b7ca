import DeviceKit
import Logging
import SoftIOMMU
import Synchronization
import SystemPackage
import VFIOABI

/// A platform device: what its model drives, and how vfio-platform gives a client access to it.
final class PlatformDevice: BusHardware, LineInterrupts {
  let kind: PlatformDeviceKind
  let memory: RegionMemory?
  let pins: PlatformPins
  private let model: any PlatformDeviceModel
  private let openCount = Mutex(0)

  /// - Throws: what making the memory of its RAM says.
  init(
    _ kind: PlatformDeviceKind, name: String, scheduler: any Scheduler, logger: Logger
  ) throws(Errno) {
    self.kind = kind
    let ram = kind.description.regions.enumerated()
      .filter { $0.element.isRAM && $0.element.size > 0 }
    memory = try RegionMemory(
      Dictionary(uniqueKeysWithValues: ram.map { ($0.offset, $0.element.size) }), name: name)
    pins = PlatformPins(
      kind.description, name: name, memory: memory, scheduler: scheduler, logger: logger)
    model = kind.make(pins)
  }

  var domainPort: DomainPort { pins.domainPort }

  func open() {
    openCount.withLock { count in
      count += 1
      if count == 1 { pins.quiet() }
    }
  }

  /// The last descriptor that is closed disables the interrupts, drops their eventfds and stops the device.
  func close() {
    openCount.withLock { count in
      count -= 1
      guard count == 0 else { return }
      pins.lines.clearAll()
      model.stop()
    }
  }

  func read(
    _ place: RegionOffset, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let (region, count) = try bytes(place, buffer.count)
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    if let window = memory?.windows[region] {
      window.read(at: Int(place.offset), into: buffer)
      return count
    }
    readRegisters(at: place.offset, into: buffer) { offset, width in
      model.read(region: region, offset: offset, width: width)
    }
    return count
  }

  func write(
    _ place: RegionOffset, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    let (region, count) = try bytes(place, buffer.count)
    if kind.description.regions[region].isReadOnly { throw .invalidArgument }
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    if let window = memory?.windows[region] {
      window.write(at: Int(place.offset), from: buffer)
      return count
    }
    writeRegisters(at: place.offset, from: buffer) { offset, width, value in
      model.write(region: region, offset: offset, width: width, value: value)
    }
    return count
  }

  /// Maps RAM that is writable, in whole pages.
  func map(_ request: MapRequest) throws(Errno) -> MapBacking {
    guard let memory else { throw .invalidArgument }
    return try memory.backing(request, areas: mappableAreas)
  }

  private func mappableAreas(_ index: Int) -> [Range<UInt64>] {
    guard index < regionCount else { return [] }
    let region = kind.description.regions[index]
    return region.isRAM && !region.isReadOnly ? RegionMemory.areas(size: region.size) : []
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
    var flags: Draft2011.RegionInfo.Flags = region.isReadOnly ? .readOnly : []
    if !mappableAreas(index).isEmpty { flags.insert(.mmap) }
    return (region.size, flags)
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
  let domainPort: DomainPort
  let lines: InterruptLines
  private let memory: RegionMemory?
  private let scheduler: any Scheduler
  private let logger: Logger
  /// Reports that may still be loud in the log; the client could make any number of them.
  private let louds = Mutex(PlatformPins.loudReports)

  init(
    _ description: PlatformDeviceDescription, name: String, memory: RegionMemory?,
    scheduler: any Scheduler, logger: Logger
  ) {
    domainPort = DomainPort(device: name, faults: .reporting(to: logger))
    self.memory = memory
    lines = InterruptLines(description.interrupts.map { .init(isLevel: $0 == .level) })
    self.scheduler = scheduler
    self.logger = logger
  }

  /// A new client starts with a quiet log.
  func quiet() {
    louds.withLock { $0 = Self.loudReports }
  }

  var dma: any DMAPort { domainPort }

  func memory(region: Int) -> (any DeviceMemory)? { memory?.windows[region] }

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
