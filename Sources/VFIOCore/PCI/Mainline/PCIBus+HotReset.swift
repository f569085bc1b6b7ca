import DeviceKit
import Synchronization

extension PCIBus {
  /// What a reset of the bus that `function` is on takes along; nil for a root bus, which nobody can reset.
  func busReset(of function: PCIFunction) -> PCIBusReset? {
    let bus = function.address.busAddress
    guard upstream[bus] != nil else { return nil }
    return state.withLock { state in
      let slots = state.slots.filter { isBehind($0.key.busAddress, bus) }
        .sorted { $0.key < $1.key }
      return PCIBusReset(
        functions: slots.map { ($0.value.function, $0.value.device.group, $0.value.driver == .vfio) }
      )
    }
  }

  /// Whether `bus` is `top` or behind a bridge on it.
  private func isBehind(_ bus: PCIBusAddress, _ top: PCIBusAddress) -> Bool {
    var next: PCIBusAddress? = bus
    // A bus number occurs once: a chain of bridges ends.
    for _ in 0...upstream.count {
      if next == top { return true }
      next = next.flatMap { upstream[$0] }
    }
    return false
  }
}
