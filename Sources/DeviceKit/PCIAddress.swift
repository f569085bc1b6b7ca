/// Where a PCI function sits: domain, bus, device and function.
///
/// Ordered as a bus walk meets the functions: by domain, then bus, then device, then function.
public struct PCIAddress: Hashable, Sendable {
  public let domain: UInt16
  public let bus: UInt8
  /// 0 to 31.
  public let device: UInt8
  /// 0 to 7.
  public let function: UInt8

  /// - Returns: nil when `device` is above 31 or `function` above 7.
  public init?(domain: UInt16 = 0, bus: UInt8, device: UInt8, function: UInt8) {
    guard device < 32, function < 8 else { return nil }
    self.domain = domain
    self.bus = bus
    self.device = device
    self.function = function
  }
}

extension PCIAddress: LosslessStringConvertible {
  /// Reads `dddd:bb:dd.f`, hexadecimal digits in either case and every digit written.
  ///
  /// The short form without a domain is refused: the kernel names a device in one way only.
  public init?(_ text: String) {
    var digits = HexReader(text)
    guard
      let domain = digits.next(4), digits.skip(":"),
      let bus = digits.next(2), digits.skip(":"),
      let device = digits.next(2), digits.skip("."),
      let function = digits.next(1), digits.isAtEnd
    else { return nil }
    self.init(
      domain: domain, bus: UInt8(truncatingIfNeeded: bus),
      device: UInt8(truncatingIfNeeded: device), function: UInt8(truncatingIfNeeded: function))
  }

  /// The kernel's name of the device: `0000:06:0d.0`.
  public var description: String {
    "\(hex(domain, 4)):\(hex(UInt16(bus), 2)):\(hex(UInt16(device), 2)).\(function)"
  }
}

extension PCIAddress: Comparable {
  public static func < (a: Self, b: Self) -> Bool {
    (a.domain, a.bus, a.device, a.function) < (b.domain, b.bus, b.device, b.function)
  }
}

/// A bus of a PCI domain.
public struct PCIBusAddress: Hashable, Sendable {
  public let domain: UInt16
  public let bus: UInt8

  public init(domain: UInt16 = 0, bus: UInt8) {
    self.domain = domain
    self.bus = bus
  }
}

extension PCIBusAddress: LosslessStringConvertible {
  /// Reads `dddd:bb`, hexadecimal digits in either case and every digit written.
  public init?(_ text: String) {
    var digits = HexReader(text)
    guard
      let domain = digits.next(4), digits.skip(":"),
      let bus = digits.next(2), digits.isAtEnd
    else { return nil }
    self.init(domain: domain, bus: UInt8(truncatingIfNeeded: bus))
  }

  /// As in the kernel's name of a root bus, `pci0000:00`, without the `pci`.
  public var description: String {
    "\(hex(domain, 4)):\(hex(UInt16(bus), 2))"
  }
}

extension PCIBusAddress: Comparable {
  public static func < (a: Self, b: Self) -> Bool {
    (a.domain, a.bus) < (b.domain, b.bus)
  }
}

extension PCIAddress {
  /// The bus that the function sits on.
  public var busAddress: PCIBusAddress {
    PCIBusAddress(domain: domain, bus: bus)
  }
}

private func hex(_ value: UInt16, _ digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: digits - text.utf8.count) + text
}

/// Takes fixed runs of hexadecimal digits off the front of a text.
private struct HexReader {
  private var rest: Substring.UTF8View

  init(_ text: String) {
    rest = Substring(text).utf8
  }

  var isAtEnd: Bool { rest.isEmpty }

  /// - Returns: nil when fewer than `count` digits, at most 4, come next.
  mutating func next(_ count: Int) -> UInt16? {
    var value: UInt16 = 0
    for _ in 0..<count {
      guard let byte = rest.popFirst(), let digit = Self.value(of: byte) else { return nil }
      value = value << 4 | digit
    }
    return value
  }

  mutating func skip(_ separator: Unicode.Scalar) -> Bool {
    rest.popFirst().map(Unicode.Scalar.init) == separator
  }

  private static func value(of byte: UInt8) -> UInt16? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
