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

  /// Whether `next` goes on where this one ends, in every respect.
  func continues(into next: Mapping) -> Bool {
    let (iova, iovaWraps) = range.upperBound.rawValue.addingReportingOverflow(1)
    let (vaddr, vaddrWraps) = self.vaddr.rawValue.addingReportingOverflow(size)
    return !iovaWraps && iova == next.range.lowerBound.rawValue
      && !vaddrWraps && vaddr == next.vaddr.rawValue
      && permissions == next.permissions && memory === next.memory
  }

  /// The part of the mapping inside `part`, nil where there is none.
  func clamped(to part: ClosedRange<IOVA>) -> Mapping? {
    guard range.overlaps(part) else { return nil }
    var piece = self
    piece.range = range.clamped(to: part)
    // A byte of the mapping has its address below 2^64: `map` made sure.
    piece.vaddr.rawValue += piece.range.lowerBound.rawValue - range.lowerBound.rawValue
    return piece
  }
}
