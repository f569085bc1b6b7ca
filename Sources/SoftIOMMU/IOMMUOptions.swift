public import DeviceKit

/// What the emulated IOMMU can do; what is nil follows the rules of the domain.
public struct IOMMUOptions: Hashable, Sendable {
  /// What a dirty bitmap reports.
  public enum DirtyTracking: Hashable, Sendable {
    /// The pages that a device has written.
    case exact
    /// Every mapped page, as hardware without tracking.
    case all
  }

  /// I/O virtual addresses that can be mapped.
  public var windows: [ClosedRange<IOVA>]?
  /// Addresses that cannot, though they are in a window: where messages of interrupts go, for example.
  public var reserved: [ClosedRange<IOVA>]?
  /// One bit a supported page size in bytes, of 4 KiB and up: the lowest is the alignment of all mappings.
  public var pageSizes: UInt64?
  /// How many mappings a domain may have.
  public var mappingLimit: Int?
  public var dirtyTracking: DirtyTracking
  /// Whether clients may lock any amount of memory, whatever their `RLIMIT_MEMLOCK`.
  public var ignoresLockLimit = false

  public init(
    windows: [ClosedRange<IOVA>]? = nil, reserved: [ClosedRange<IOVA>]? = nil,
    pageSizes: UInt64? = nil, mappingLimit: Int? = nil, dirtyTracking: DirtyTracking = .exact
  ) {
    self.windows = windows
    self.reserved = reserved
    self.pageSizes = pageSizes
    self.mappingLimit = mappingLimit
    self.dirtyTracking = dirtyTracking
  }
}

extension MappingRules {
  /// The draft's IOMMU takes every address; today's is an Intel one of 39 bits.
  var defaultWindows: [ClosedRange<IOVA>] {
    self == .draft2011 ? [IOVA(0)...IOVA(.max)] : [IOVA(0)...IOVA(0x7f_ffff_ffff)]
  }

  /// Interrupt messages on x86 go to 0xfee00000, and never through the IOMMU's mappings.
  var defaultReserved: [ClosedRange<IOVA>] {
    self == .draft2011 ? [] : [IOVA(0xfee0_0000)...IOVA(0xfeef_ffff)]
  }

  var defaultPageSizes: UInt64 {
    self == .draft2011 ? 0xffff_ffff_ffff_f000 : 0x4020_1000
  }

  /// `dma_entry_limit` of the kernel's module (drivers/vfio/vfio_iommu_type1.c).
  public var defaultMappingLimit: Int {
    self == .draft2011 ? .max : 65535
  }
}

extension [ClosedRange<IOVA>] {
  /// What is left of these ranges without `holes`: in order, apart from each other.
  func without(_ holes: [ClosedRange<IOVA>]) -> Self {
    var left: Self = []
    for range in sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = left.last, last.upperBound >= range.lowerBound {
        left[left.count - 1] = last.lowerBound...Swift.max(last.upperBound, range.upperBound)
      } else {
        left.append(range)
      }
    }
    for hole in holes {
      left = left.flatMap { range -> Self in
        guard range.overlaps(hole) else { return [range] }
        var pieces: Self = []
        if range.lowerBound < hole.lowerBound {
          pieces.append(range.lowerBound...IOVA(hole.lowerBound.rawValue - 1))
        }
        if range.upperBound > hole.upperBound {
          pieces.append(IOVA(hole.upperBound.rawValue + 1)...range.upperBound)
        }
        return pieces
      }
    }
    return left
  }
}
