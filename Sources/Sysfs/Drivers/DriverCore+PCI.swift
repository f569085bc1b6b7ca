import DeviceKit
import Synchronization
import SystemPackage
import VFIOCore

/// What only PCI's driver core does (drivers/pci/pci-driver.c, drivers/pci/pci-sysfs.c).
extension DriverCore<PCIBus> {
  // MARK: - Files of a driver

  /// Gives the driver an ID, and every function that nobody has and that it takes.
  ///
  /// - Throws: `EINVAL` without a vendor and a device, `EEXIST` for one that it has.
  func addID(_ driver: BusDriver, _ text: [UInt8]) throws(Errno) {
    let id = try DynamicID(text)
    try state.withLock { state throws(Errno) in
      if state.ids[driver, default: []].contains(where: { $0.covers(id) }) { throw .fileExists }
      state.ids[driver, default: []].append(id)
    }
    for function in bus.functions where function.driver == .none && takes(driver, function) {
      // Whoever is quicker may have it.
      try? bind(function.address, driver)
    }
  }

  /// Functions that the driver has stay with it.
  ///
  /// - Throws: `EINVAL` without a vendor and a device, `ENODEV` for an ID that it does not have.
  func removeID(_ driver: BusDriver, _ text: [UInt8]) throws(Errno) {
    let pattern = try DynamicID(text)
    try state.withLock { state throws(Errno) in
      guard let index = state.ids[driver]?.firstIndex(where: { $0.isMeant(by: pattern) }) else {
        throw .operationNotSupportedByDevice
      }
      state.ids[driver]?.remove(at: index)
    }
  }

  // MARK: - Files of the bus and of a function

  /// The same as `probe`; that nobody takes bridges is no error.
  func probePCI(_ text: [UInt8]) throws(Errno) {
    if let name = Self.name(text), let address = PCIAddress(name), address.description == name,
      bus.bridge(at: address) != nil
    {
      return
    }
    try probe(text)
  }

  /// Takes a function, or a bridge with what is behind it, off the bus where the number is not 0. Waits while
  /// vfio's groups are in use.
  ///
  /// - Throws: `EINVAL` for what is no number, `ENODEV` when it is gone, `EBUSY` when it is on its way out
  ///   already.
  func remove(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) -> SysfsWrite {
    guard try Self.isOn(text) else { return .done }
    let bus = bus
    return try waiting(text.count) { completion throws(BusError) in
      try bus.remove(address, .untilRescan, completion: completion)
    }
  }

  /// Finds again what `remove` took off the bus, and drivers for it.
  ///
  /// - Parameter number: of the bus to look on and behind; nil for everywhere.
  /// - Throws: `EINVAL` for what is no number.
  func rescan(_ number: PCIBusAddress? = nil, _ text: [UInt8]) throws(Errno) {
    guard try Self.isOn(text) else { return }
    for address in bus.rescan(number) {
      forget(address)
      if probesByItself, let function = bus.function(at: address) { probe(function) }
    }
  }

  /// Whether the function's `rom` can be read.
  func showsROM(_ address: PCIAddress) -> Bool {
    state.withLock { $0.shownROMs.contains(address) }
  }

  /// Anything but `0` and a newline lets it be read (`pci_write_rom`).
  func setShowsROM(_ address: PCIAddress, _ text: [UInt8]) {
    state.withLock { state in
      if text == Array("0\n".utf8) {
        state.shownROMs.remove(address)
      } else {
        state.shownROMs.insert(address)
      }
    }
  }

  /// Resets a function.
  ///
  /// - Throws: `EINVAL` for anything but 1, `ENODEV` when the function is gone.
  func reset(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) {
    guard try Self.number(text) == 1 else { throw .invalidArgument }
    do throws(BusError) { try bus.reset(address) } catch { throw error.errno }
  }

  // MARK: - Enabling

  /// Whether the function decodes and answers: for a driver, or because somebody enabled it by hand.
  func enableCount(_ address: PCIAddress) -> Int {
    state.withLock { $0.enables[address] ?? 0 }
  }

  /// Enables a function that no driver has, or takes one such back (`enable_store`).
  ///
  /// - Throws: `EINVAL` for what is no number, `EBUSY` when a driver has the function, `EIO` where it was not
  ///   enabled, `ENODEV` when it is gone.
  func setEnabled(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) {
    let isOn = try Self.isOn(text)
    guard let function = bus.function(at: address) else { throw .operationNotSupportedByDevice }
    if function.driver != .none { throw .resourceBusy }
    let count = try state.withLock { state throws(Errno) in
      let count = state.enables[address] ?? 0
      if !isOn, count == 0 { throw .ioError }
      state.enables[address] = isOn ? count + 1 : count == 1 ? nil : count - 1
      return isOn ? count + 1 : count - 1
    }
    guard count == (isOn ? 1 : 0) else { return }
    do throws(BusError) { try bus.setEnabled(isOn, at: address) } catch { throw error.errno }
  }

  /// What was said of a function does not hold for one that is found.
  private func forget(_ address: PCIAddress) {
    state.withLock { state in
      state.shownROMs.remove(address)
      state.enables[address] = nil
    }
  }
}
