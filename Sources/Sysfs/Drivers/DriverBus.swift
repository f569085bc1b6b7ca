import DeviceKit
import VFIOCore

/// A device as the driver core sees it.
protocol DrivenDevice: Sendable {
  associatedtype Address: CustomStringConvertible & Hashable & Sendable

  var address: Address { get }
  var driver: BusDriver { get }
  var initialDriver: BusDriver { get }
  var driverOverride: String? { get }

  /// Whether a driver that was given `id` takes it.
  func matches(_ id: DynamicID) -> Bool
}

/// A bus whose devices the driver core gives to drivers.
protocol DriverBus: AnyObject, Sendable {
  associatedtype Device: DrivenDevice

  var hostDrivers: [String] { get }
  /// In the order of their addresses.
  var drivenDevices: [Device] { get }

  /// - Returns: nil unless there is a device that the kernel calls exactly so.
  func device(called name: String) -> Device?

  func bind(_ address: Device.Address, to driver: BusDriver) throws(BusError)

  func unbind(
    _ address: Device.Address, from driver: BusDriver?,
    completion: @escaping @Sendable () -> Void
  ) throws(BusError) -> UnbindWait

  func setDriverOverride(_ name: String?, at address: Device.Address) throws(BusError)
}

extension PCIBus.FunctionStatus: DrivenDevice {
  func matches(_ id: DynamicID) -> Bool { id.matches(description) }
}

extension PCIBus: DriverBus {
  var drivenDevices: [FunctionStatus] { functions }

  func device(called name: String) -> FunctionStatus? {
    guard let address = PCIAddress(name), address.description == name else { return nil }
    return function(at: address)
  }
}

extension PlatformBus.DeviceStatus: DrivenDevice {
  var address: String { name }

  /// Drivers of the platform bus have no `new_id`.
  func matches(_ id: DynamicID) -> Bool { false }
}

extension PlatformBus: DriverBus {
  var drivenDevices: [DeviceStatus] { devices }

  func device(called name: String) -> DeviceStatus? { device(named: name) }
}
