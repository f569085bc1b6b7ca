/// A piece of a scatter-gather transfer: a run of I/O virtual addresses and a buffer for it.
public struct DMASegment {
  public var iova: IOVA
  /// The bytes to move; those of a write are only read.
  public var buffer: UnsafeMutableRawBufferPointer

  public init(iova: IOVA, buffer: UnsafeMutableRawBufferPointer) {
    self.iova = iova
    self.buffer = buffer
  }
}

/// An atomic read-modify-write of memory by a device, as of PCI Express AtomicOp requests.
public enum DMAAtomic: Sendable {
  /// Adds the operand.
  case fetchAdd
  /// Stores the operand.
  case swap
  /// Stores the operand where the memory holds `expected`.
  case compareSwap(expected: UInt64)
}

extension DMAPort {
  /// Reads the segments in order: what `read` does for each, where there is no faster way.
  public func read(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    var fault: DMAFault?
    for segment in segments {
      let next = read(segment.iova, into: segment.buffer)
      fault = fault ?? next
    }
    return fault
  }

  /// Writes the segments in order.
  public func write(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    var fault: DMAFault?
    for segment in segments {
      let next = write(segment.iova, from: UnsafeRawBufferPointer(segment.buffer))
      fault = fault ?? next
    }
    return fault
  }

  /// A port that has no atomics.
  public func atomic(
    _ operation: DMAAtomic, _ iova: IOVA, width: Int, operand: UInt64
  ) throws(DMAFault) -> UInt64 {
    throw DMAFault(iova: iova, cause: .noAtomics)
  }
}
