public import DeviceKit
public import Logging
import SystemPackage

/// The emulated platform bus with its bus driver vfio-platform, written on the core's bus driver API alone.
///
/// Devices have names and no addresses: `1c010000.dma`. They come and go at any time; each is taken by vfio,
/// by a host driver (of which nothing but its name exists) or by nobody. Calls come from any thread.
public final class PlatformBus: Sendable {
  /// The bus's name in group ids.
  public static let name = "platform"

  public typealias Driver = BusDriver

  /// What people see of a device.
  public struct DeviceStatus: Sendable {
    public var name: String
    /// The name of the kind: `pl081`.
    public var kind: String
    public var description: PlatformDeviceDescription
    public var group: GroupID
    public var driver: Driver
    /// The driver that it was plugged in for.
    public var initialDriver: Driver
    /// The only driver that may take it, by name; nil where any may. For those who choose drivers: the
    /// bus itself binds to whatever driver it is told.
    public var driverOverride: String?
    /// Waits for its group to fall out of use, to be unbound.
    public var isUnbinding: Bool
  }

  struct State: BusState {
    var slots: [String: BusSlot<PlatformDevice>] = [:]
    var hostDrivers: Set<String> = []

    func checkRoom(at name: String) throws(BusError) {
      if slots[name] != nil { throw BusError(.fileExists, "there is a platform device \(name)") }
    }

    func departed(_ slot: BusSlot<PlatformDevice>, from name: String) {}
  }

  private let slots: BusDevices<State>
  private let scheduler: any Scheduler
  private let logger: Logger

  /// - Parameter scheduler: runs the models' delayed work.
  public init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    slots = BusDevices(State(), vfio: vfio)
    self.scheduler = scheduler
    self.logger = logger
  }

  /// All devices, in the order of their names.
  public var devices: [DeviceStatus] {
    slots.all.map { $0.slot.status }
  }

  /// - Returns: nil when there is no such device.
  public func device(named name: String) -> DeviceStatus? {
    slots.withLock { $0.slots[name]?.status }
  }

  /// The drivers of the host that devices were plugged in for or bound to, in order.
  public var hostDrivers: [String] { slots.hostDrivers }

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
    try slots.enumerate(BusSlot(platform, device: device, initialDriver: driver), at: name)
    try slots.bindInitially(name)
  }

  /// Removes a device, after vfio has let go of it.
  ///
  /// - Parameter completion: called exactly once, when the device is gone; never after the wait was taken back.
  /// - Returns: the wait for vfio, which can be taken back until the device is gone.
  /// - Throws: `ENODEV` when there is none, `EBUSY` when it is on its way out already.
  @discardableResult
  public func remove(
    _ name: String, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) -> UnbindWait {
    try slots.remove(name, .forGood, completion: completion)
  }

  /// Lets a driver take a device that nobody has.
  ///
  /// - Throws: `ENODEV` when there is no device, `EBUSY` when a driver has it, or a driver of the host wants
  ///   it and its group is in use.
  public func bind(_ name: String, to driver: Driver) throws(BusError) {
    try slots.bind(name, to: driver)
  }

  /// Takes a device from its driver; from vfio when its group is not in use any more.
  ///
  /// - Parameters:
  ///   - driver: who must have it; nil for whoever has.
  ///   - completion: called exactly once, when nobody has the device; never after the wait was taken back.
  /// - Returns: the wait for vfio, which can be taken back until the device is unbound.
  /// - Throws: `ENODEV` when there is no device or `driver` does not have it, `EBUSY` when it is being unbound.
  @discardableResult
  public func unbind(
    _ name: String, from driver: Driver? = nil, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) -> UnbindWait {
    try slots.unbind(name, from: driver, completion: completion)
  }

  /// Keeps the device for the driver called `driver`; nil lets any driver have it again. Who has it now stays.
  ///
  /// - Throws: `ENODEV` when there is no device.
  public func setDriverOverride(_ driver: String?, at name: String) throws(BusError) {
    try slots.setDriverOverride(driver, at: name)
  }
}

extension BusSlot<PlatformDevice> {
  fileprivate var status: PlatformBus.DeviceStatus {
    PlatformBus.DeviceStatus(
      name: device.name, kind: hardware.kind.name, description: hardware.kind.description,
      group: device.group, driver: driver, initialDriver: initialDriver,
      driverOverride: driverOverride, isUnbinding: isUnbinding)
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
