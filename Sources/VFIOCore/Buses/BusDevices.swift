import Synchronization
import SystemPackage

/// The devices of one bus and the drivers that take them: what every bus driver tells vfio, and when.
///
/// Vfio is called with the bus's lock free. Calls come from any thread.
final class BusDevices<State: BusState>: Sendable {
  typealias Address = State.Address
  typealias Slot = BusSlot<State.Hardware>

  let vfio: VFIO
  let state: Mutex<State>

  init(_ state: State, vfio: VFIO) {
    self.vfio = vfio
    self.state = Mutex(state)
  }

  func withLock<Result: Sendable, Failure: Error>(
    _ body: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try state.withLock { state throws(Failure) in try body(&state) }
  }

  /// All slots, in the order of their addresses.
  var all: [(address: Address, slot: Slot)] {
    withLock { state in state.slots.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
  }

  var hostDrivers: [String] { withLock { $0.hostDrivers.sorted() } }

  // MARK: - Coming and going

  /// Makes a device known, to vfio as well. In a group in use vfio claims it.
  ///
  /// - Parameter mainline: how the bus driver serves it to clients of today's API.
  /// - Throws: `EEXIST` when the address is taken, and as `checkRoom`.
  func enumerate(
    _ slot: Slot, at address: Address, mainline: (any DeviceOps)? = nil
  ) throws(BusError) {
    try withLock { state throws(BusError) in
      try state.checkRoom(at: address)
      var slot = slot
      slot.isInTransit = true
      state.slots[address] = slot
      if case .host(let name) = slot.initialDriver { state.hostDrivers.insert(name) }
    }
    let ops = BusOps<State.Hardware>(mainline: mainline) { [weak self] device throws(Errno) in
      try self?.claim(device)
    }
    do throws(Errno) {
      try vfio.addDevice(
        slot.device, ops: ops, port: slot.hardware.domainPort, hasIOMMU: slot.hasIOMMU)
    } catch {
      withLock { $0.slots[address] = nil }
      throw BusError(error, "vfio did not take \(address): \(error)")
    }
    withLock { $0.slots[address]?.isInTransit = false }
  }

  /// Lets the driver take the device that it was plugged in for, unless the claim has bound it already.
  func bindInitially(_ address: Address) throws(BusError) {
    guard let slot = withLock({ $0.slots[address] }), slot.driver == .none,
      slot.initialDriver != .none
    else { return }
    do throws(BusError) {
      try bind(address, to: slot.initialDriver)
    } catch {
      // Somebody was quicker, or its group is in use and the claim failed: nobody has it then.
      if error.errno != .resourceBusy { throw error }
    }
  }

  /// Removes a device, after vfio has let go of it.
  ///
  /// - Throws: `ENODEV` when there is none, `EBUSY` when it is on its way out already.
  func remove(
    _ address: Address, _ departure: Departure, completion: @escaping @Sendable () -> Void
  ) throws(BusError) -> UnbindWait {
    let slot = try withLock { state throws(BusError) in
      let slot = try state.slot(at: address)
      if slot.departure != nil || slot.isUnbinding || slot.isInTransit {
        throw BusError(.resourceBusy, "\(address) is on its way into vfio or out of it already")
      }
      state.slots[address]?.departure = departure
      state.slots[address]?.isUnbinding = slot.driver == .vfio
      return slot
    }
    vfio.deleteDevice(slot.device)
    if slot.driver == .vfio { return try letGo(address, slot, completion) }
    withLock { $0.vacate(address) }
    completion()
    return UnbindWait()
  }

  // MARK: - Drivers

  /// Lets a driver take a device that nobody has.
  ///
  /// - Throws: `ENODEV` when there is no device, `EBUSY` when a driver has it, or a driver of the host wants it
  ///   and its group is in use.
  func bind(_ address: Address, to driver: BusDriver) throws(BusError) {
    try bind(address, to: driver, isClaim: false)
  }

  private func bind(
    _ address: Address, to driver: BusDriver, isClaim: Bool
  ) throws(BusError) {
    let (device, data) = try withLock { state throws(BusError) in
      let slot = try state.slot(at: address)
      guard slot.driver == .none, slot.departure == nil, slot.isInTransit == isClaim else {
        throw BusError(.resourceBusy, "\(address) has a driver or is about to")
      }
      if case .host(let name) = driver { state.hostDrivers.insert(name) }
      let data = BoundHardware(slot.hardware)
      state.slots[address]?.driver = driver
      state.slots[address]?.isInTransit = driver != .none
      state.slots[address]?.data = driver == .vfio ? data : nil
      return (slot.device, data)
    }
    defer { withLock { $0.slots[address]?.isInTransit = false } }
    do throws(Errno) {
      switch driver {
      case .none: break
      case .vfio: try vfio.bindDevice(device, data: data)
      case .host: try vfio.hostTakes(device)
      }
    } catch {
      withLock { state in
        state.slots[address]?.driver = .none
        state.slots[address]?.data = nil
      }
      throw BusError(error, "vfio did not bind \(address) or leave it to \(driver): \(error)")
    }
  }

  /// A device came into a group in use: vfio takes it, and nobody else can have got it before.
  private func claim(_ device: Device) throws(Errno) {
    let address = withLock { state in state.slots.first { $0.value.device == device }?.key }
    guard let address else { throw .operationNotSupportedByDevice }
    do throws(BusError) {
      try bind(address, to: .vfio, isClaim: true)
    } catch {
      throw error.errno
    }
  }

  /// Takes a device from its driver; from vfio when its group is not in use any more.
  ///
  /// - Parameters:
  ///   - driver: who must have it; nil for whoever has.
  ///   - completion: called exactly once, when nobody has the device; never after the wait was taken back.
  /// - Returns: the wait for vfio, which can be taken back until the device is unbound.
  /// - Throws: `ENODEV` when there is no device or `driver` does not have it, `EBUSY` when it is being unbound.
  func unbind(
    _ address: Address, from driver: BusDriver?, completion: @escaping @Sendable () -> Void
  ) throws(BusError) -> UnbindWait {
    let slot = try withLock { state throws(BusError) in
      let slot = try state.slot(at: address)
      if slot.driver == .none {
        throw BusError(.operationNotSupportedByDevice, "\(address) has no driver")
      }
      if let driver, slot.driver != driver {
        throw BusError(.operationNotSupportedByDevice, "another driver has \(address)")
      }
      if slot.isUnbinding || slot.isInTransit {
        throw BusError(.resourceBusy, "\(address) is being bound or unbound already")
      }
      if slot.driver == .vfio {
        state.slots[address]?.isUnbinding = true
      } else {
        state.slots[address]?.driver = .none
        state.slots[address]?.isInTransit = true
      }
      return slot
    }
    if slot.driver == .vfio { return try letGo(address, slot, completion) }
    vfio.hostLeaves(slot.device)
    withLock { $0.slots[address]?.isInTransit = false }
    completion()
    return UnbindWait()
  }

  /// Vfio lets go of a device that is marked as unbinding.
  private func letGo(
    _ address: Address, _ slot: Slot, _ completion: @escaping @Sendable () -> Void
  ) throws(BusError) -> UnbindWait {
    do throws(Errno) {
      try vfio.unbindDevice(slot.device) { [weak self] _ in
        self?.unbound(address)
        completion()
      }
    } catch {
      withLock { $0.slots[address]?.isUnbinding = false }
      throw BusError(error, "vfio did not let go of \(address): \(error)")
    }
    guard let data = slot.data else { return UnbindWait() }
    return UnbindWait { [weak self] in
      self?.cancelUnbind(address, slot.device, data) ?? false
    }
  }

  private func unbound(_ address: Address) {
    withLock { state in
      state.slots[address]?.driver = .none
      state.slots[address]?.data = nil
      state.slots[address]?.isUnbinding = false
      if state.slots[address]?.departure != nil { state.vacate(address) }
    }
  }

  /// Takes back an unbind, and a removal, of this very binding.
  private func cancelUnbind(_ address: Address, _ device: Device, _ data: DeviceData) -> Bool {
    // The core knows which binding waits. One that is given back to vfio is here as it was before.
    guard vfio.cancelUnbind(device, data: data) else { return false }
    withLock { state in
      state.slots[address]?.isUnbinding = false
      state.slots[address]?.departure = nil
    }
    return true
  }

  /// Keeps the device for the driver called `name`; nil lets any driver have it again. Who has it now stays.
  ///
  /// - Throws: `ENODEV` when there is no device.
  func setDriverOverride(_ name: String?, at address: Address) throws(BusError) {
    try withLock { state throws(BusError) in
      _ = try state.slot(at: address)
      state.slots[address]?.driverOverride = name
    }
  }
}
