public import DeviceKit
public import Logging
import Synchronization
import SystemPackage

/// The emulated platform bus with its bus driver vfio-platform, written on the core's bus driver API alone.
///
/// Devices have names and no addresses: `1c010000.dma`. They come and go at any time; each is taken by vfio,
/// by a host driver (of which nothing but its name exists) or by nobody. Calls come from any thread.
public final class PlatformBus: Sendable {
  /// The bus's name in group ids.
  public static let name = "platform"

  public typealias Driver = PCIBus.Driver

  /// What people see of a device.
  public struct DeviceStatus: Sendable {
    public var name: String
    /// The name of the kind: `pl081`.
    public var kind: String
    public var description: PlatformDeviceDescription
    public var group: GroupID
    public var driver: Driver
    /// Waits for its group to fall out of use, to be unbound.
    public var isUnbinding: Bool
  }

  private struct Slot {
    var platform: PlatformDevice
    var device: Device
    var driver = Driver.none
    var isUnbinding = false
    /// Vfio is being told of it, or that it is bound: nobody else may change it meanwhile.
    var isInTransit = true
    /// Goes as soon as it is unbound.
    var isRemoved = false
  }

  private let vfio: VFIO
  private let scheduler: any Scheduler
  private let logger: Logger
  private let slots = Mutex<[String: Slot]>([:])

  /// - Parameter scheduler: runs the models' delayed work.
  public init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    self.vfio = vfio
    self.scheduler = scheduler
    self.logger = logger
  }

  /// All devices, in the order of their names.
  public var devices: [DeviceStatus] {
    slots.withLock { slots in
      slots.sorted { $0.key < $1.key }.map { name, slot in
        DeviceStatus(
          name: name, kind: slot.platform.kind.name, description: slot.platform.kind.description,
          group: slot.device.group, driver: slot.driver, isUnbinding: slot.isUnbinding)
      }
    }
  }

  /// Adds a device and lets `driver` take it.
  ///
  /// In a group that is in use, vfio claims the device, whatever `driver` says.
  ///
  /// - Parameter group: the number of its IOMMU group, among those of this bus.
  /// - Throws: `EEXIST` when the name is taken, `EINVAL` for a kind whose description makes no sense.
  public func add(
    name: String, kind: PlatformDeviceKind, group: UInt32, driver: Driver
  ) throws(BusError) {
    if let flaw = kind.description.flaw {
      throw BusError(.invalidArgument, "\(kind.name) is no platform device: \(flaw)")
    }
    let device = Device(name: name, group: GroupID(bus: Self.name, number: group))
    var logger = logger
    logger[metadataKey: "device"] = "\(name)"
    let platform: PlatformDevice
    do throws(Errno) {
      platform = try PlatformDevice(kind, name: name, scheduler: scheduler, logger: logger)
    } catch {
      throw BusError(error, "there is no memory for \(kind.name) \(name): \(error)")
    }
    try slots.withLock { slots throws(BusError) in
      guard slots[name] == nil else {
        throw BusError(.fileExists, "there is a platform device \(name)")
      }
      slots[name] = Slot(platform: platform, device: device)
    }
    let ops = PlatformOps { [weak self] device throws(Errno) in try self?.claim(device) }
    do throws(Errno) {
      try vfio.addDevice(device, ops: ops, port: platform.pins.domainPort)
    } catch {
      slots.withLock { $0[name] = nil }
      throw BusError(error, "vfio did not take \(name): \(error)")
    }
    // The claim may have bound it already.
    let isTaken = slots.withLock { slots in
      slots[name]?.isInTransit = false
      return slots[name]?.driver != Driver.none
    }
    guard driver != .none, !isTaken else { return }
    do throws(BusError) {
      try bind(name, to: driver)
    } catch {
      // Somebody was quicker, or its group is in use and the claim failed: nobody has it then.
      if error.errno != .resourceBusy { throw error }
    }
  }

  /// Removes a device, after vfio has let go of it.
  ///
  /// - Parameter completion: called exactly once, when the device is gone.
  /// - Throws: `ENODEV` when there is none, `EBUSY` when it is on its way out already.
  public func remove(
    _ name: String, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) {
    let slot = try slots.withLock { slots throws(BusError) in
      let slot = try Self.slot(slots, name)
      if slot.isRemoved || slot.isUnbinding || slot.isInTransit {
        throw BusError(.resourceBusy, "\(name) is on its way into vfio or out of it already")
      }
      slots[name]?.isRemoved = true
      return slot
    }
    vfio.deleteDevice(slot.device)
    if slot.driver == .vfio { return try unbind(name, completion: completion) }
    slots.withLock { $0[name] = nil }
    completion()
  }

  /// Lets a driver take a device that nobody has.
  ///
  /// - Throws: `ENODEV` when there is no device, `EBUSY` when a driver has it, or a driver of the host wants
  ///   it and its group is in use.
  public func bind(_ name: String, to driver: Driver) throws(BusError) {
    try bind(name, to: driver, isClaim: false)
  }

  private func bind(_ name: String, to driver: Driver, isClaim: Bool) throws(BusError) {
    let slot = try slots.withLock { slots throws(BusError) in
      let slot = try Self.slot(slots, name)
      guard slot.driver == .none, !slot.isRemoved, slot.isInTransit == isClaim else {
        throw BusError(.resourceBusy, "\(name) has a driver or is about to")
      }
      if case .host = driver { try hostTakes(slot.device) }
      slots[name]?.isInTransit = driver == .vfio
      slots[name]?.driver = driver
      return slot
    }
    guard driver == .vfio else { return }
    defer { slots.withLock { $0[name]?.isInTransit = false } }
    do throws(Errno) {
      try vfio.bindDevice(slot.device, data: PlatformDeviceData(slot.platform))
    } catch {
      slots.withLock { $0[name]?.driver = .none }
      throw BusError(error, "vfio did not bind \(name): \(error)")
    }
  }

  /// Takes a device from its driver; from vfio when its group is not in use any more.
  ///
  /// - Parameter completion: called exactly once, when nobody has the device.
  /// - Throws: `ENODEV` when there is no device or no driver has it, `EBUSY` when it is being unbound.
  public func unbind(
    _ name: String, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) {
    let slot = try slots.withLock { slots throws(BusError) in
      let slot = try Self.slot(slots, name)
      if slot.driver == .none {
        throw BusError(.operationNotSupportedByDevice, "\(name) has no driver")
      }
      if slot.isUnbinding || slot.isInTransit {
        throw BusError(.resourceBusy, "\(name) is being bound or unbound already")
      }
      if slot.driver == .vfio {
        slots[name]?.isUnbinding = true
      } else {
        slots[name]?.driver = .none
      }
      return slot
    }
    guard slot.driver == .vfio else {
      vfio.hostLeaves(slot.device)
      return completion()
    }
    do throws(Errno) {
      try vfio.unbindDevice(slot.device) { [weak self] _ in
        self?.unbound(name)
        completion()
      }
    } catch {
      slots.withLock { $0[name]?.isUnbinding = false }
      throw BusError(error, "vfio did not let go of \(name): \(error)")
    }
  }

  private func unbound(_ name: String) {
    slots.withLock { slots in
      slots[name]?.driver = .none
      slots[name]?.isUnbinding = false
      if slots[name]?.isRemoved == true { slots[name] = nil }
    }
  }

  /// A device came into a group in use: vfio takes it, and nobody else can have got it before.
  private func claim(_ device: Device) throws(Errno) {
    do throws(BusError) {
      try bind(device.name, to: .vfio, isClaim: true)
    } catch {
      throw error.errno
    }
  }

  private func hostTakes(_ device: Device) throws(BusError) {
    do throws(Errno) {
      try vfio.hostTakes(device)
    } catch {
      throw BusError(error, "group \(device.group) of \(device) is in use")
    }
  }

  private static func slot(_ slots: [String: Slot], _ name: String) throws(BusError) -> Slot {
    guard let slot = slots[name] else {
      throw BusError(.operationNotSupportedByDevice, "there is no platform device \(name)")
    }
    return slot
  }
}

extension PlatformDeviceDescription {
  /// Bytes that a region may have: what its part of a device descriptor has room for.
  private static let regionLimit: UInt64 = 1 << 40

  /// Why no device can be so, nil for one that can.
  var flaw: String? {
    if let region = regions.firstIndex(where: { $0.size > Self.regionLimit }) {
      return "region \(region) has \(regions[region].size) bytes, more than 2^40"
    }
    if regions.count > 64 { return "it has \(regions.count) regions, more than 64" }
    if interrupts.count > 1024 { return "it has \(interrupts.count) interrupts, more than 1024" }
    return nil
  }
}
