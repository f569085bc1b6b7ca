import CPlugin
import ClientAccess
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
  let port = DomainPort()
  let interrupts: InterruptLines
  private let regions: [(size: UInt64, isReadOnly: Bool)]
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
  init(_ pointer: UnsafeMutablePointer<vfio_device>) throws(Errno) {
    let given = try copySized(
      UnsafePointer(pointer), into: vfio_device(),
      least: MemoryLayout<vfio_device>.offset(of: \.flags) ?? 0)
    let bus = try copyText(given.bus, limit: 32)
    let name = try copyText(given.name, limit: 64)
    guard isIdentifier(bus), bus != PCIBus.name, bus != PlatformBus.name, isDeviceName(name) else {
      throw .invalidArgument
    }
    device = Device(name: name, group: GroupID(bus: bus, number: given.group))
    key = UInt(bitPattern: pointer)
    copy = PluginDeviceCopy(given, bus: bus, name: name)
    regions = try copyArray(given.regions, given.num_regions, limit: 64)
      .map { ($0.size, $0.flags & UInt32(VFIO_DEVICE_REGION_READ_ONLY) != 0) }
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
    (regions[index].size, regions[index].isReadOnly ? .readOnly : [])
  }

  /// The bus driver's own ioctl would have answered.
  func reset() throws(Errno) {
    throw .invalidArgument
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
