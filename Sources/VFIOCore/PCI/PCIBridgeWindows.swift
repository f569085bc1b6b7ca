public import DeviceKit

/// The addresses that a bridge passes on to what is behind it, in whole pieces; nil for a window that is closed.
public struct PCIBridgeWindows: Hashable, Sendable {
  public var io: ClosedRange<UInt64>?
  /// Below 4 GiB, prefetchable or not.
  public var memory: ClosedRange<UInt64>?
  /// Memory with 64-bit addresses.
  public var prefetchable: ClosedRange<UInt64>?

  static let ioGranularity: UInt64 = 0x1000
  static let memoryGranularity: UInt64 = 0x10_0000

  /// All closed.
  public init() {}

  /// Opens the windows for a BAR.
  mutating func add(_ bar: PCIFunctionDescription.BAR, at address: UInt64) {
    switch bar.space {
    case .io: Self.add(address, bar.size, to: &io, Self.ioGranularity)
    case .memory32: Self.add(address, bar.size, to: &memory, Self.memoryGranularity)
    case .memory64: Self.add(address, bar.size, to: &prefetchable, Self.memoryGranularity)
    }
  }

  private static func add(
    _ address: UInt64, _ size: UInt64, to window: inout ClosedRange<UInt64>?,
    _ granularity: UInt64
  ) {
    let start = address & ~(granularity - 1)
    let end = (address + (size - 1)) | (granularity - 1)
    window = min(start, window?.lowerBound ?? start)...max(end, window?.upperBound ?? end)
  }
}

extension PCIBus {
  /// What the windows of a bridge have to be for all that is behind it.
  public func windows(of bridge: PCIBridge) -> PCIBridgeWindows {
    devices.withLock { state in
      var windows = PCIBridgeWindows()
      for (address, slot) in state.slots where state.isAt(bridge.secondaryBus, above: address) {
        let bars = slot.function.kind.description.windows
        for (number, address) in slot.function.barAddresses {
          if let bar = bars[number] { windows.add(bar, at: address) }
        }
      }
      return windows
    }
  }

  /// The number of the interrupt that a function's pin is wired to: one of four from 16 on, as each bridge turns
  /// the pins by a device's number (PCI-to-PCI Bridge Architecture 1.2, 9.1).
  ///
  /// - Returns: nil for one that has no pin, and when there is no function.
  public func interrupt(of address: PCIAddress) -> Int? {
    devices.withLock { state in
      guard let pin = state.slots[address]?.function.kind.description.interruptPin, pin != .none
      else { return nil }
      var (turned, place) = (Int(pin.rawValue) - 1 + Int(address.device), address)
      while let bridge = state.bridge(to: place.busAddress) {
        place = bridge.address
        turned += Int(place.device)
      }
      return 16 + turned % 4
    }
  }
}
