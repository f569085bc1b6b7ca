/// An address in a client's memory, as it came in an ioctl argument: untrusted until it is used.
public struct ClientAddress: Hashable, Sendable, Comparable {
  public var rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static func < (a: Self, b: Self) -> Bool {
    a.rawValue < b.rawValue
  }

  /// The address `bytes` further on, or nil where that would wrap.
  public func advanced(by bytes: UInt64) -> ClientAddress? {
    let (sum, overflow) = rawValue.addingReportingOverflow(bytes)
    return overflow ? nil : ClientAddress(sum)
  }
}
