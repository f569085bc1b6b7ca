public import DeviceKit
import SystemPackage

/// Removing what is on the bus, and finding again what stayed plugged in.
extension PCIBus {
  /// What was removed and is still there to be found.
  struct Unscanned {
    var functions: [PCIAddress: Slot] = [:]
    var bridges: [PCIAddress: PCIBridge] = [:]

    func has(_ address: PCIAddress) -> Bool {
      functions[address] != nil || bridges[address] != nil
    }
  }

  /// Removes a function, or a bridge with everything behind it, after vfio has let go.
  ///
  /// - Parameters:
  ///   - departure: whether the hardware goes as well. What was removed before can be unplugged still.
  ///   - completion: called exactly once, when all is gone; never after the wait was taken back.
  /// - Returns: the wait for vfio, which can be taken back until all is gone.
  /// - Throws: `ENODEV` when there is nothing, `EBUSY` when any of it is being removed or unbound already.
  @discardableResult
  public func remove(
    _ address: PCIAddress, _ departure: Departure = .forGood,
    completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) -> UnbindWait {
    if bridge(at: address) != nil { return try removeBridge(address, departure, completion) }
    let wasUnscanned = devices.withLock { departure == .forGood && $0.unplugUnscanned(address) }
    if !wasUnscanned {
      return try devices.remove(address, departure, completion: completion)
    }
    completion()
    return UnbindWait()
  }

  /// Finds what was removed and is still plugged in, on `bus` and behind it. No driver has the functions yet, but
  /// those of groups in use, which vfio claims.
  ///
  /// - Parameter bus: nil for everywhere.
  /// - Returns: the addresses of the functions, in order.
  public func rescan(_ bus: PCIBusAddress? = nil) -> [PCIAddress] {
    let found = devices.withLock { state in
      let bridges = state.unscanned.bridges.filter { state.isAt(bus, above: $0.key) }
      let functions = state.unscanned.functions.filter { state.isAt(bus, above: $0.key) }
      for (address, bridge) in bridges {
        state.unscanned.bridges[address] = nil
        state.bridges[address] = BridgeSlot(bridge: bridge)
      }
      for address in functions.keys { state.unscanned.functions[address] = nil }
      return functions.sorted { $0.key < $1.key }
    }
    return found.compactMap { address, slot in
      do throws(BusError) {
        try enumerate(slot, at: address)
        return address
      } catch {
        // A bridge above it goes meanwhile.
        devices.withLock { $0.unscanned.functions[address] = slot }
        return nil
      }
    }
  }
}

extension PCIBus.State {
  mutating func departed(_ slot: PCIBus.Slot, from address: PCIAddress) {
    switch slot.departure {
    case .untilRescan?:
      unscanned.functions[address] = PCIBus.Slot(
        slot.hardware, device: slot.device, hasIOMMU: slot.hasIOMMU,
        initialDriver: slot.initialDriver)
    case .forGood?, nil:
      unplugged(slot)
    }
  }

  mutating func departed(bridge address: PCIAddress, _ departure: PCIBus.Departure) {
    guard let bridge = bridges.removeValue(forKey: address)?.bridge else { return }
    switch departure {
    case .untilRescan: unscanned.bridges[address] = bridge
    case .forGood: unplugUnscanned(behind: bridge)
    }
  }

  /// Unplugs what was removed before.
  ///
  /// - Returns: false when nothing of that is at `address`.
  fileprivate mutating func unplugUnscanned(_ address: PCIAddress) -> Bool {
    if let bridge = unscanned.bridges.removeValue(forKey: address) {
      unplugUnscanned(behind: bridge)
      return true
    }
    guard let slot = unscanned.functions.removeValue(forKey: address) else { return false }
    unplugged(slot)
    return true
  }

  private mutating func unplugUnscanned(behind bridge: PCIBridge) {
    let functions = unscanned.functions.filter { isAt(bridge.secondaryBus, above: $0.key) }
    let bridges = unscanned.bridges.filter { isAt(bridge.secondaryBus, above: $0.key) }
    for (address, slot) in functions {
      unscanned.functions[address] = nil
      unplugged(slot)
    }
    for address in bridges.keys { unscanned.bridges[address] = nil }
  }

  private mutating func unplugged(_ slot: PCIBus.Slot) {
    let function = slot.function
    layout.release(
      function.barAddresses, of: function.kind.description, on: function.address.busAddress)
  }
}
