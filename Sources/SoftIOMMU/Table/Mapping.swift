public import ClientAccess
public import DeviceKit

/// A run of I/O virtual addresses that reaches a run of client memory.
public struct Mapping: Sendable {
  /// The addresses, ends included: the last may be 2^64 - 1.
  public var range: ClosedRange<IOVA>
  /// Where `range.lowerBound` is in `memory`.
  public var vaddr: ClientAddress
  public var permissions: DMAPermissions
  public var memory: any AddressSpace
  /// Whether `vaddr` is still good: a client that is about to replace itself takes it back for a while.
  public var isVaddrValid = true

  /// Bytes; a mapping of client memory is always shorter than 2^64.
  public var size: UInt64 {
    range.upperBound.rawValue - range.lowerBound.rawValue + 1
  }
}
