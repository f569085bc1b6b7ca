public import DeviceKit
import Synchronization
import SystemPackage

/// What the host sees of single functions and steers, as through sysfs.
extension PCIBus {
  /// - Returns: nil when there is no function at `address`.
  public func function(at address: PCIAddress) -> FunctionStatus? {
    state.withLock { $0.slots[address]?.status(address) }
  }

  /// The drivers of the host that functions were plugged in for or bound to, in order.
  public var hostDrivers: [String] {
    state.withLock { $0.hostDrivers.sorted() }
  }

  /// The addresses of all functions and bridges, in order.
  public var addresses: [PCIAddress] {
    state.withLock { (Array($0.slots.keys) + $0.bridges.keys).sorted() }
  }

  /// The addresses of the functions and bridges on one bus, in order.
  public func addresses(on bus: PCIBusAddress) -> [PCIAddress] {
    state.withLock { state in
      let functions = state.slots.keys.filter { $0.busAddress == bus }
      return (functions + state.bridges.keys.filter { $0.busAddress == bus }).sorted()
    }
  }

  /// The function's configuration space as it is now: 256 bytes, 4096 of one of PCI Express.
  ///
  /// BARs hold where the platform put them: vfio-pci virtualises what a client writes there.
  ///
  /// - Returns: nil when there is no function at `address`.
  public func config(at address: PCIAddress) -> [UInt8]? {
    state.withLock { $0.slots[address]?.function }?.hostConfig()
  }

  /// Resets a function, whoever has it.
  ///
  /// - Throws: `ENODEV` when there is none, `EINVAL` where it has no reset.
  public func reset(_ address: PCIAddress) throws(PCIBusError) {
    let slot = try state.withLock { state throws(PCIBusError) in try Self.slot(state, address) }
    do throws(Errno) { try slot.function.reset() } catch {
      throw PCIBusError(error, "\(address) was not reset: \(error)")
    }
  }

  /// Keeps the function for the driver called `name`; nil lets any driver have it again. Who has it now
  /// stays.
  ///
  /// - Throws: `ENODEV` when there is no function.
  public func setDriverOverride(_ name: String?, at address: PCIAddress) throws(PCIBusError) {
    try state.withLock { state throws(PCIBusError) in
      _ = try Self.slot(state, address)
      state.slots[address]?.driverOverride = name
    }
  }

  /// Takes back an unbind, and a removal, of this very binding.
  func cancelUnbind(_ address: PCIAddress, _ data: PCIDeviceData) -> Bool {
    // The core knows which binding waits. One that is given back to vfio is here as it was before.
    let device = state.withLock { $0.slots[address]?.device }
    guard let device, vfio.cancelUnbind(device, data: data) else { return false }
    state.withLock { state in
      state.slots[address]?.isUnbinding = false
      state.slots[address]?.departure = nil
    }
    return true
  }
}
