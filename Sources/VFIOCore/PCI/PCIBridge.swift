public import DeviceKit

/// A PCI-to-PCI bridge as the host sees it: no driver has it, and it is in no group.
public struct PCIBridge: Hashable, Sendable {
  public var address: PCIAddress
  /// The number of the bus behind it.
  public var secondary: UInt8
  public var vendorID: UInt16
  public var deviceID: UInt16
  public var revision: UInt8

  public init(
    address: PCIAddress, secondary: UInt8, vendorID: UInt16, deviceID: UInt16, revision: UInt8 = 0
  ) {
    self.address = address
    self.secondary = secondary
    self.vendorID = vendorID
    self.deviceID = deviceID
    self.revision = revision
  }

  /// The bus behind it.
  public var secondaryBus: PCIBusAddress {
    PCIBusAddress(domain: address.domain, bus: secondary)
  }

  /// A bridge to another PCI bus, normal decode.
  public static let classCode: UInt32 = 0x060400

  /// The configuration header, type 1, and zeros: 256 bytes (PCI-to-PCI Bridge Architecture 1.2, 3.2).
  ///
  /// - Parameter subordinate: the highest bus number behind it.
  public func config(subordinate: UInt8, windows: PCIBridgeWindows) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    func put(_ value: UInt16, _ offset: Int) {
      bytes[offset] = UInt8(truncatingIfNeeded: value)
      bytes[offset + 1] = UInt8(value >> 8)
    }
    put(vendorID, 0x00)
    put(deviceID, 0x02)
    // I/O, memory, bus master.
    put(0x0007, 0x04)
    bytes[0x08] = revision
    put(UInt16(truncatingIfNeeded: Self.classCode), 0x09)
    bytes[0x0b] = UInt8(Self.classCode >> 16)
    bytes[0x0e] = 1
    bytes[0x18] = address.bus
    bytes[0x19] = secondary
    bytes[0x1a] = subordinate
    // Closed ones have bases above their limits.
    bytes[0x1c] = windows.io.map { UInt8(truncatingIfNeeded: $0.lowerBound >> 8) & 0xf0 } ?? 0xf0
    bytes[0x1d] = windows.io.map { UInt8(truncatingIfNeeded: $0.upperBound >> 8) & 0xf0 } ?? 0
    func putMemory(_ window: ClosedRange<UInt64>?, _ offset: Int, kind: UInt16) {
      let base = window.map { UInt16(truncatingIfNeeded: $0.lowerBound >> 16) & 0xfff0 } ?? 0xfff0
      let limit = window.map { UInt16(truncatingIfNeeded: $0.upperBound >> 16) & 0xfff0 } ?? 0
      put(base | kind, offset)
      put(limit | kind, offset + 2)
    }
    putMemory(windows.memory, 0x20, kind: 0)
    // The prefetchable one has 64 bits.
    putMemory(windows.prefetchable, 0x24, kind: 1)
    for (bound, offset) in [
      (windows.prefetchable?.lowerBound, 0x28), (windows.prefetchable?.upperBound, 0x2c),
    ] {
      put(UInt16(truncatingIfNeeded: (bound ?? 0) >> 32), offset)
      put(UInt16(truncatingIfNeeded: (bound ?? 0) >> 48), offset + 2)
    }
    return bytes
  }
}
