public import DeviceKit
import SystemPackage
import VFIOABI

/// What the host sees of single functions and steers, as through sysfs.
extension PCIBus {
  /// - Returns: nil when there is no function at `address`.
  public func function(at address: PCIAddress) -> FunctionStatus? {
    devices.withLock { $0.slots[address]?.status(address) }
  }

  /// The drivers of the host that functions were plugged in for or bound to, in order.
  public var hostDrivers: [String] { devices.hostDrivers }

  /// The numbers of the groups of all functions, also of those that `rescan` would find.
  public var groupNumbers: Set<UInt32> {
    devices.withLock { state in
      Set((Array(state.slots.values) + state.unscanned.functions.values).map(\.device.group.number))
    }
  }

  /// The addresses of all functions and bridges, in order.
  public var addresses: [PCIAddress] {
    devices.withLock { (Array($0.slots.keys) + $0.bridges.keys).sorted() }
  }

  /// The addresses of the functions and bridges on one bus, in order.
  public func addresses(on bus: PCIBusAddress) -> [PCIAddress] {
    devices.withLock { state in
      let functions = state.slots.keys.filter { $0.busAddress == bus }
      return (functions + state.bridges.keys.filter { $0.busAddress == bus }).sorted()
    }
  }

  /// Whether there are functions or bridges on the bus.
  public func hasSlots(on bus: PCIBusAddress) -> Bool {
    devices.withLock { state in
      state.slots.keys.contains { $0.busAddress == bus }
        || state.bridges.keys.contains { $0.busAddress == bus }
    }
  }

  /// The function's configuration space as it is now: 256 bytes, 4096 of one of PCI Express.
  ///
  /// BARs hold where the platform put them, or what the host wrote there since: vfio-pci virtualises what a
  /// client writes.
  ///
  /// - Returns: nil when there is no function at `address`.
  public func config(at address: PCIAddress) -> [UInt8]? {
    devices.withLock { $0.slots[address]?.function }?.hostConfig()
  }

  /// Writes to the function's configuration space as the host's administrator may, whoever has it.
  ///
  /// - Returns: how many bytes were taken: those inside.
  /// - Throws: `ENODEV` when there is no function.
  public func writeConfig(
    at address: PCIAddress, offset: Int, _ bytes: [UInt8]
  ) throws(BusError) -> Int {
    let slot = try devices.withLock { state throws(BusError) in try state.slot(at: address) }
    let size = slot.function.kind.description.configSize
    guard (0..<size).contains(offset) else { return 0 }
    let inside = bytes.prefix(size - offset)
    inside.withUnsafeBytes { slot.function.writeHostConfig($0, at: offset) }
    return inside.count
  }

  /// What the host reads of a BAR, as through sysfs: ones where nothing answers. All of it is inside.
  public func read(
    bar: Int, of address: PCIAddress, at offset: UInt64, width: AccessWidth
  ) -> UInt64 {
    let slot = devices.withLock { $0.slots[address] }
    guard let slot, let region = PCIRegion(rawValue: UInt32(bar)),
      let value = try? slot.function.load(region, at: offset, width: width)
    else { return .max }
    return value
  }

  /// The same for a write, which has no effect there.
  public func write(
    bar: Int, of address: PCIAddress, at offset: UInt64, width: AccessWidth, value: UInt64
  ) {
    guard let slot = devices.withLock({ $0.slots[address] }),
      let region = PCIRegion(rawValue: UInt32(bar))
    else { return }
    try? slot.function.store(region, at: offset, width: width, value: value)
  }

  /// Enables or disables a function as a driver of the host does.
  ///
  /// - Throws: `ENODEV` when there is none.
  public func setEnabled(_ isEnabled: Bool, at address: PCIAddress) throws(BusError) {
    let slot = try devices.withLock { state throws(BusError) in try state.slot(at: address) }
    slot.function.setEnabled(isEnabled)
  }

  /// Resets a function, whoever has it.
  ///
  /// - Throws: `ENODEV` when there is none, `EINVAL` where it has no reset.
  public func reset(_ address: PCIAddress) throws(BusError) {
    let slot = try devices.withLock { state throws(BusError) in try state.slot(at: address) }
    do throws(Errno) { try slot.function.reset() } catch {
      throw BusError(error, "\(address) was not reset: \(error)")
    }
  }

  /// Keeps the function for the driver called `name`; nil lets any driver have it again. Who has it now
  /// stays.
  ///
  /// - Throws: `ENODEV` when there is no function.
  public func setDriverOverride(_ name: String?, at address: PCIAddress) throws(BusError) {
    try devices.setDriverOverride(name, at: address)
  }
}
