import DeviceKit

extension PCIBus {
  /// What a reset of the bus that `function` is on takes along; nil for a root bus, which nobody can reset.
  func busReset(of function: PCIFunction) -> PCIBusReset? {
    let bus = function.address.busAddress
    return devices.withLock { state in
      guard state.bridge(to: bus) != nil else { return nil }
      let slots = state.slots.filter { state.isAt(bus, above: $0.key) }.sorted { $0.key < $1.key }
      return PCIBusReset(
        functions: slots.map { _, slot in
          (slot.function, slot.device.group, slot.driver == .vfio)
        })
    }
  }
}
