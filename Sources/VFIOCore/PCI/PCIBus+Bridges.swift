public import DeviceKit
import SystemPackage

/// Bridges, and the tree of buses that they make.
extension PCIBus {
  struct BridgeSlot {
    var bridge: PCIBridge
    /// Goes as soon as everything behind it has.
    var isLeaving = false
  }

  /// Plugs in a bridge. What is on its secondary bus, now or later, is behind it.
  ///
  /// - Throws: `EEXIST` when the address or the secondary bus's number is taken, `EINVAL` when that is not greater
  ///   than the number of the bus that the bridge is on, `EBUSY` behind a bridge that is being removed.
  public func add(_ bridge: PCIBridge) throws(BusError) {
    try devices.withLock { state throws(BusError) in
      try state.checkRoom(at: bridge.address)
      guard bridge.secondary > bridge.address.bus else {
        throw BusError(
          .invalidArgument, "the bus behind \(bridge.address) needs a number above its own bus's")
      }
      guard state.bridge(to: bridge.secondaryBus) == nil,
        !state.unscanned.bridges.values.contains(where: { $0.secondaryBus == bridge.secondaryBus })
      else {
        throw BusError(.fileExists, "there is a bridge to bus \(bridge.secondaryBus)")
      }
      state.bridges[bridge.address] = BridgeSlot(bridge: bridge)
    }
  }

  /// - Returns: nil when there is no bridge at `address`.
  public func bridge(at address: PCIAddress) -> PCIBridge? {
    devices.withLock { $0.bridges[address]?.bridge }
  }

  /// - Returns: nil for a root bus.
  public func bridge(to bus: PCIBusAddress) -> PCIBridge? {
    devices.withLock { $0.bridge(to: bus) }
  }

  /// Removes a bridge with everything behind it, once vfio has let go of all of that.
  ///
  /// Until then it can be taken back: what has gone by then is found again, with the driver that it had.
  func removeBridge(
    _ address: PCIAddress, _ departure: Departure, _ completion: @escaping @Sendable () -> Void
  ) throws(BusError) -> UnbindWait {
    let (bridges, slots) = try devices.withLock { state throws(BusError) in
      guard let top = state.bridges[address]?.bridge else { throw Self.nothing(at: address) }
      let bridges = state.bridges.keys.filter { state.isAt(top.secondaryBus, above: $0) }
      let slots = state.slots.filter { state.isAt(top.secondaryBus, above: $0.key) }
      let all = bridges + [address]
      if all.contains(where: { state.bridges[$0]?.isLeaving == true }) {
        throw BusError(.resourceBusy, "\(address) is on its way out already")
      }
      for bridge in all { state.bridges[bridge]?.isLeaving = true }
      return (all, slots)
    }
    let countdown = Countdown(slots.count + 1) { [devices] in
      devices.withLock { state in
        for bridge in bridges { state.departed(bridge: bridge, departure) }
      }
      completion()
    }
    let stay = { @Sendable [weak self] () -> Void in self?.stay(bridges, slots) }
    var waits: [UnbindWait] = []
    do throws(BusError) {
      for function in slots.keys.sorted() {
        // The hardware goes with the bridge's.
        waits.append(try devices.remove(function, .untilRescan) { countdown.step() })
      }
    } catch {
      for wait in waits { wait.cancel() }
      stay()
      throw error
    }
    countdown.step()
    return UnbindWait(waits, onCancel: stay)
  }

  /// Bridges do not leave after all: puts back what was behind them.
  private func stay(_ bridges: [PCIAddress], _ before: [PCIAddress: Slot]) {
    let gone = devices.withLock { state in
      for bridge in bridges { state.bridges[bridge]?.isLeaving = false }
      return before.keys.sorted().compactMap { address in
        state.unscanned.functions.removeValue(forKey: address).map { (address, $0) }
      }
    }
    for (address, slot) in gone {
      let driver = before[address]?.driver ?? .none
      do throws(BusError) {
        try enumerate(slot, at: address)
        try devices.setDriverOverride(before[address]?.driverOverride, at: address)
        if driver != .none { try bind(address, to: driver) }
      } catch {
        // Somebody was quicker, or its group is in use: vfio has it then, or nobody.
      }
    }
  }

  static func nothing(at address: PCIAddress) -> BusError {
    BusError(.operationNotSupportedByDevice, "there is nothing at \(address)")
  }
}

extension PCIBus.State {
  func bridge(to bus: PCIBusAddress) -> PCIBridge? {
    bridges.values.first { $0.bridge.secondaryBus == bus }?.bridge
  }

  /// Whether `address` is on `upper` or behind it; nil is above all. Bridges that were removed count.
  func isAt(_ upper: PCIBusAddress?, above address: PCIAddress) -> Bool {
    guard let upper else { return true }
    var bus = address.busAddress
    while bus != upper {
      let removed = unscanned.bridges.values.first { $0.secondaryBus == bus }
      // Numbers fall on the way to the root.
      guard let bridge = bridge(to: bus) ?? removed else { return false }
      bus = bridge.address.busAddress
    }
    return true
  }

  /// - Throws: `EEXIST` when the address is taken, `EBUSY` behind a bridge that is being removed.
  func checkRoom(at address: PCIAddress) throws(BusError) {
    if slots[address] != nil || bridges[address] != nil || unscanned.has(address) {
      throw BusError(.fileExists, "there is something at \(address)")
    }
    if bridges.values.contains(where: {
      $0.isLeaving && isAt($0.bridge.secondaryBus, above: address)
    }) {
      throw BusError(.resourceBusy, "a bridge above \(address) is being removed")
    }
  }
}
