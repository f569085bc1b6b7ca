/// An I/O virtual address: what a device puts on the bus.
public struct IOVA: Hashable, Sendable, Comparable {
  public var rawValue: UInt64

  public init(_ rawValue: UInt64) {
    self.rawValue = rawValue
  }

  public static func < (a: Self, b: Self) -> Bool {
    a.rawValue < b.rawValue
  }
}

/// A device's way to memory, through whatever IOMMU stands behind it at the time.
public protocol DMAPort: AnyObject, Sendable {
  /// Reads memory at `iova`. Bytes that the IOMMU does not let the device read come back as zeros.
  ///
  /// - Returns: the fault that stopped a part of the transfer, nil where all of it went through.
  func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault?

  /// Writes memory at `iova`. Bytes that the IOMMU does not let the device write vanish.
  ///
  /// - Returns: the fault that stopped a part of the transfer, nil where all of it went through.
  func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault?

  /// Reads the segments in order, with as few system calls as there can be.
  ///
  /// - Returns: the first fault, in that order.
  func read(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault?

  /// Writes the segments in order, with as few system calls as there can be.
  ///
  /// - Returns: the first fault, in that order.
  func write(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault?

  /// Reads and changes `width` bytes, 4 or 8, at `iova`, a multiple of it, at once: no access of the
  /// client's or of another device comes in between.
  ///
  /// - Returns: what was there before.
  /// - Throws: why it did not happen; `.noAtomics` where the memory is not shared with us.
  func atomic(
    _ operation: DMAAtomic, _ iova: IOVA, width: Int, operand: UInt64
  ) throws(DMAFault) -> UInt64
}

/// Why a part of a DMA transfer did not go through: the first byte that did not, and the cause.
public struct DMAFault: Error, Hashable, Sendable {
  public enum Cause: Hashable, Sendable {
    /// The function's bus master bit is clear.
    case busMasterDisabled
    /// No IOMMU domain is attached: nobody uses the device's group.
    case noDomain
    /// Nothing is mapped there.
    case unmapped
    /// Mapped, but not for this direction.
    case permission
    /// Mapped to client memory that is gone.
    case memoryGone
    /// An atomic access to memory that is not shared with us, or of a width or alignment that has none.
    case noAtomics
    /// What it was a part of has ended (`DMATransfer`).
    case ended
  }

  public var iova: IOVA
  public var cause: Cause

  public init(iova: IOVA, cause: Cause) {
    self.iova = iova
    self.cause = cause
  }
}

extension IOVA: CustomStringConvertible {
  /// `0x10000`.
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

extension DMAFault: CustomStringConvertible {
  /// `nothing is mapped at IOVA 0x10000`.
  public var description: String {
    switch cause {
    case .busMasterDisabled: "bus mastering is off (IOVA \(iova))"
    case .noDomain: "no IOMMU domain is attached (IOVA \(iova))"
    case .unmapped: "nothing is mapped at IOVA \(iova)"
    case .permission: "the mapping at IOVA \(iova) does not allow it"
    case .memoryGone: "the client's memory behind IOVA \(iova) is gone"
    case .noAtomics: "there is no atomic access to the memory at IOVA \(iova)"
    case .ended: "the transfer had ended before IOVA \(iova)"
    }
  }
}
