/// Where a PCI function sits: domain, bus, device and function number.
public struct PCIAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
  public let domain: UInt16
  public let bus: UInt8
  /// 0 to 31.
  public let device: UInt8
  /// 0 to 7.
  public let function: UInt8

  /// - Returns: nil when a number is out of range.
  public init?(domain: UInt16, bus: UInt8, device: UInt8, function: UInt8) {
    guard device < 32, function < 8 else { return nil }
    self.domain = domain
    self.bus = bus
    self.device = device
    self.function = function
  }

  /// Parses `dddd:bb:dd.f`, all hexadecimal and of exactly so many digits.
  public init(_ text: String) throws(ParseError) {
    let digits = Array(text.utf8)
    guard digits.count == 12, digits[4] == UInt8(ascii: ":"), digits[7] == UInt8(ascii: ":"),
      digits[10] == UInt8(ascii: "."), let domain = Self.number(digits[0..<4]),
      let bus = Self.number(digits[5..<7]), let device = Self.number(digits[8..<10]),
      let function = Self.number(digits[11..<12])
    else { throw ParseError(text: text, reason: "it is not of the form dddd:bb:dd.f") }
    guard device < 32 else { throw ParseError(text: text, reason: "its device is above 1f") }
    guard function < 8 else { throw ParseError(text: text, reason: "its function is above 7") }
    self.domain = domain
    self.bus = UInt8(bus)
    self.device = UInt8(device)
    self.function = UInt8(function)
  }

  /// Why a text is no address.
  public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
    public var text: String
    public var reason: String

    public var description: String { "“\(text)” is no PCI address: \(reason)" }
  }

  public var description: String {
    "\(Self.hex(domain, 4)):\(Self.hex(bus, 2)):\(Self.hex(device, 2)).\(Self.hex(function, 1))"
  }

  public static func < (a: Self, b: Self) -> Bool {
    (a.domain, a.bus, a.device, a.function) < (b.domain, b.bus, b.device, b.function)
  }

  /// At most four digits.
  private static func number(_ digits: ArraySlice<UInt8>) -> UInt16? {
    var value: UInt16 = 0
    for digit in digits {
      guard let nibble = Character(UnicodeScalar(digit)).hexDigitValue else { return nil }
      value = value << 4 | UInt16(nibble)
    }
    return value
  }

  private static func hex(_ value: some BinaryInteger, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
