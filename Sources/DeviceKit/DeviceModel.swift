/// A device model that a topology can name: a kind of function for each choice of its parameters.
public struct DeviceModel: Sendable {
  /// The name in a topology file: `edu`.
  public var name: String
  /// What `params` may say.
  public var parameters: [DeviceParameter]
  /// Makes the kind; every parameter that is given has passed its own check.
  public var kind: @Sendable (_ parameters: DeviceParameters) -> PCIFunctionKind

  public init(
    name: String, parameters: [DeviceParameter] = [],
    kind: @escaping @Sendable (_ parameters: DeviceParameters) -> PCIFunctionKind
  ) {
    self.name = name
    self.parameters = parameters
    self.kind = kind
  }

  /// A model without parameters.
  public init(_ kind: PCIFunctionKind) {
    self.init(name: kind.name) { _ in kind }
  }
}

/// A parameter of a device model, and what it may be.
public struct DeviceParameter: Hashable, Sendable {
  public enum Form: Hashable, Sendable {
    /// A power of two bytes: `65536`, `64K`, `4M` or `1G`.
    case size(ClosedRange<UInt64>)
    /// A decimal number.
    case number(ClosedRange<UInt64>)
    /// 1 to 64 letters, digits, `-` and `_`.
    case name
  }

  public var name: String
  public var form: Form

  public init(_ name: String, _ form: Form) {
    self.name = name
    self.form = form
  }

  /// What to write for it, for people: `a power of two from 4K to 1G`.
  public var description: String {
    switch form {
    case .size(let range):
      "a power of two from \(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))"
    case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    case .name: "1 to 64 letters, digits, - and _"
    }
  }

  /// - Returns: nil for what it may not be.
  public func value(_ text: String) -> DeviceParameters.Value? {
    switch form {
    case .size(let range):
      guard let size = Self.bytes(text), size.nonzeroBitCount == 1, range.contains(size) else {
        return nil
      }
      return .number(size)
    case .number(let range):
      guard let number = UInt64(text), String(number) == text, range.contains(number) else {
        return nil
      }
      return .number(number)
    case .name:
      let isName = text.allSatisfy {
        $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_")
      }
      return isName && (1...64).contains(text.utf8.count) ? .text(text) : nil
    }
  }

  private static let units: [(letter: String, shift: UInt64)] = [("G", 30), ("M", 20), ("K", 10)]

  private static func bytes(_ text: String) -> UInt64? {
    guard let unit = units.first(where: { text.hasSuffix($0.letter) }) else { return UInt64(text) }
    guard let number = UInt64(text.dropLast()), number <= UInt64.max >> unit.shift else {
      return nil
    }
    return number << unit.shift
  }

  private static func text(_ bytes: UInt64) -> String {
    let unit = units.first { bytes >= 1 << $0.shift && bytes % (1 << $0.shift) == 0 }
    return unit.map { "\(bytes >> $0.shift)\($0.letter)" } ?? "\(bytes)"
  }
}

/// The parameters that a topology gives a device, by name.
public struct DeviceParameters: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  public enum Value: Hashable, Sendable {
    case number(UInt64)
    case text(String)
  }

  public var values: [String: Value]

  public init(_ values: [String: Value] = [:]) {
    self.values = values
  }

  public init(dictionaryLiteral elements: (String, Value)...) {
    values = Dictionary(elements) { _, last in last }
  }

  /// - Returns: nil for one that was not given.
  public func number(_ name: String) -> UInt64? {
    if case .number(let number) = values[name] { number } else { nil }
  }

  /// - Returns: nil for one that was not given.
  public func text(_ name: String) -> String? {
    if case .text(let text) = values[name] { text } else { nil }
  }
}
