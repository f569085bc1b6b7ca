import CPlugin
import ClientAccess
import DeviceKit
import Logging
import SoftIOMMU
import Synchronization
import SystemPackage
import VFIOABI
import VFIOCore

/// A device that a plug-in's bus driver added.
final class PluginDevice: DraftDevice, LineInterrupts {
  let device: Device
  /// What the plug-in calls it by.
  let key: UInt
  let copy: PluginDeviceCopy
  /// Attached to a domain by the core while the group is in use.
  let port: DomainPort
  let interrupts: InterruptLines
  /// What is behind the regions that are RAM, nil where none is.
  let memory: RegionMemory?
  private let regions: [PlatformDeviceDescription.Region]
  private let hasReset: Bool
  private let openCount = Mutex(0)

  /// Where it is between added and gone. Held across calls of the core, which call no plug-in back.
  struct Life: Sendable {
    var isBound = false
    var isUnbinding = false
    var isDeleted = false
  }
  let life = Mutex(Life())

  /// - Throws: `EINVAL` for what is no device, and for the daemon's own buses.
  init(_ pointer: UnsafeMutablePointer<vfio_device>, logger: Logger) throws(Errno) {
    let given = try copySized(
      UnsafePointer(pointer), into: vfio_device(),
      least: MemoryLayout<vfio_device>.offset(of: \.flags) ?? 0)
    let bus = try copyText(given.bus, limit: 32)
    let name = try copyText(given.name, limit: 64)
    guard isIdentifier(bus), bus != PCIBus.name, bus != PlatformBus.name, isDeviceName(name) else {
      throw .invalidArgument
    }
    device = Device(name: name, group: GroupID(bus: bus, number: given.group))
    port = DomainPort(device: name, faults: .reporting(to: logger))
    key = UInt(bitPattern: pointer)
    copy = PluginDeviceCopy(given, bus: bus, name: name)
    regions = try copyArray(given.regions, given.num_regions, limit: 64)
      .map(PlatformDeviceDescription.Region.init)
    let lines = try copyArray(given.irqs, given.num_irqs, limit: 64).map { irq in
      InterruptLines.Line(
        count: Int(irq.count), isLevel: irq.flags & UInt32(VFIO_DEVICE_IRQ_LEVEL) != 0)
    }
    interrupts = InterruptLines(lines)
    hasReset = given.flags & UInt32(VFIO_DEVICE_HAS_RESET) != 0
    let isPossible =
      regions.allSatisfy { $0.size <= 1 << 40 }
      && lines.allSatisfy { $0.count <= ($0.isLevel ? 1 : 2048) }
    if !isPossible { throw .invalidArgument }
    let ram = regions.enumerated().filter { $0.element.isRAM && $0.element.size > 0 }
    memory = try RegionMemory(
      Dictionary(uniqueKeysWithValues: ram.map { ($0.offset, $0.element.size) }), name: name)
  }

  /// Whether the plug-in said what the device is made of.
  var isDescribed: Bool { !regions.isEmpty || !interrupts.lines.isEmpty }

  func opened() {
    openCount.withLock { $0 += 1 }
  }

  /// The last descriptor's close disables the interrupts and drops their eventfds.
  func closed() {
    openCount.withLock { count in
      count -= 1
      if count == 0 { interrupts.clearAll() }
    }
  }

  // MARK: - DraftDevice

  var flags: Draft2011.DeviceInfo.Flags { hasReset ? .reset : [] }
  var regionCount: Int { regions.count }

  func region(_ index: Int) -> (size: UInt64, flags: Draft2011.RegionInfo.Flags) {
    var flags: Draft2011.RegionInfo.Flags = regions[index].isReadOnly ? .readOnly : []
    if !mappableAreas(index).isEmpty { flags.insert(.mmap) }
    return (regions[index].size, flags)
  }

  func mappableAreas(_ index: Int) -> [Range<UInt64>] {
    guard index < regionCount, regions[index].isRAM, !regions[index].isReadOnly else { return [] }
    return RegionMemory.areas(size: regions[index].size)
  }

  /// How much of an access is in a region of RAM, nil for one that the bus driver serves.
  ///
  /// - Throws: `EINVAL` at or past the end, and where it cannot be written.
  func memoryAccess(
    _ place: RegionOffset, _ wanted: Int, isWrite: Bool
  ) throws(Errno) -> (window: SharedMemory.Window, count: Int)? {
    guard let window = memory?.windows[Int(place.index)] else { return nil }
    let region = regions[Int(place.index)]
    guard place.offset < region.size, !(isWrite && region.isReadOnly) else {
      throw .invalidArgument
    }
    return (window, Int(min(UInt64(wanted), region.size - place.offset)))
  }

  /// The bus driver's own ioctl would have answered.
  func reset() throws(Errno) {
    throw .invalidArgument
  }
}

extension PlatformDeviceDescription.Region {
  init(_ region: vfio_device_region) {
    self.init(
      size: region.size, isReadOnly: region.flags & UInt32(VFIO_DEVICE_REGION_READ_ONLY) != 0,
      isRAM: region.flags & UInt32(VFIO_DEVICE_REGION_RAM) != 0)
  }
}

/// What a plug-in bound a device with.
final class PluginData: Sendable {
  let bits: UInt
  let device: PluginDevice

  init(_ pointer: UnsafeMutableRawPointer, of device: PluginDevice) {
    bits = UInt(bitPattern: pointer)
    self.device = device
  }

  var pointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: bits) }
}
