/// What devices may do with a mapping.
public struct DMAPermissions: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// Devices may read the memory.
  public static let read = DMAPermissions(rawValue: 1 << 0)
  /// Devices may write the memory.
  public static let write = DMAPermissions(rawValue: 1 << 1)
}
