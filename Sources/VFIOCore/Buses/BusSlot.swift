/// Who has a device of a bus.
public enum BusDriver: Hashable, Sendable {
  case none
  case vfio
  /// A driver of the host, by its name; nothing but the name exists of it.
  case host(String)
}

/// What becomes of something that is removed.
public enum Departure: Sendable {
  /// It is unplugged.
  case forGood
  /// The hardware stays, for `rescan` to find.
  case untilRescan
}

/// A device's place on its bus, and who has it.
struct BusSlot<Hardware: BusHardware>: Sendable {
  var hardware: Hardware
  var device: Device
  /// Whether an IOMMU stands between it and memory.
  var hasIOMMU: Bool
  /// The driver that it was plugged in for.
  var initialDriver: BusDriver
  /// The only driver that may take it, by name; nil where any may. For those who choose drivers: the bus
  /// itself binds to whatever driver it is told.
  var driverOverride: String?
  var driver = BusDriver.none
  /// What vfio has of it while it is bound there.
  var data: DeviceData?
  var isUnbinding = false
  /// Vfio is being told of it, or who has it: nobody else may change it meanwhile.
  var isInTransit = true
  /// How it goes as soon as it is unbound; nil while it stays.
  var departure: Departure?

  init(
    _ hardware: Hardware, device: Device, hasIOMMU: Bool = true, initialDriver: BusDriver
  ) {
    self.hasIOMMU = hasIOMMU
    self.hardware = hardware
    self.device = device
    self.initialDriver = initialDriver
  }
}

/// What a bus keeps under its lock.
protocol BusState: Sendable {
  associatedtype Address: Comparable & Hashable & Sendable & CustomStringConvertible
  associatedtype Hardware: BusHardware

  var slots: [Address: BusSlot<Hardware>] { get set }
  /// The drivers of the host that devices were plugged in for or bound to, by name.
  var hostDrivers: Set<String> { get set }

  /// - Throws: `EEXIST` when the address is taken, and what else the bus minds.
  func checkRoom(at address: Address) throws(BusError)

  /// The device has left the bus, and `slots`.
  mutating func departed(_ slot: BusSlot<Hardware>, from address: Address)
}

extension BusState {
  func slot(at address: Address) throws(BusError) -> BusSlot<Hardware> {
    guard let slot = slots[address] else {
      throw BusError(.operationNotSupportedByDevice, "there is no device \(address)")
    }
    return slot
  }

  /// Frees the slot of a device that nobody has any more.
  mutating func vacate(_ address: Address) {
    if let slot = slots.removeValue(forKey: address) { departed(slot, from: address) }
  }
}
