extension PCIFunctionDescription {
  /// The MSI capability.
  public struct MSI: Hashable, Sendable {
    /// 1, 2, 4, 8, 16 or 32.
    public var vectors: Int
    public var is64Bit: Bool
    public var perVectorMasking: Bool

    public init(vectors: Int, is64Bit: Bool = true, perVectorMasking: Bool = false) {
      self.vectors = vectors
      self.is64Bit = is64Bit
      self.perVectorMasking = perVectorMasking
    }
  }

  /// The MSI-X capability. The table and the pending bits are the bus's: the model sees no access to them.
  public struct MSIX: Hashable, Sendable {
    /// A place in a memory BAR.
    public struct Place: Hashable, Sendable {
      public var bar: Int
      /// Bytes from the start of the BAR, a multiple of 8.
      public var offset: UInt64

      public init(bar: Int, offset: UInt64) {
        self.bar = bar
        self.offset = offset
      }
    }

    /// 1 to 2048.
    public var vectors: Int
    /// The table, 16 bytes a vector.
    public var table: Place
    /// The pending bit array, 8 bytes for each 64 vectors.
    public var pending: Place

    public init(vectors: Int, table: Place, pending: Place) {
      self.vectors = vectors
      self.table = table
      self.pending = pending
    }

    /// The bytes that the table takes of its BAR.
    public var tableRange: Range<UInt64> {
      table.offset..<(table.offset + 16 * UInt64(vectors))
    }

    /// The bytes that the pending bits take of their BAR.
    public var pendingRange: Range<UInt64> {
      pending.offset..<(pending.offset + 8 * UInt64((vectors + 63) / 64))
    }
  }

  /// The power management capability: D0 and D3hot.
  public struct PowerManagement: Hashable, Sendable {
    /// Whether registers survive D3hot (No_Soft_Reset).
    public var keepsState: Bool

    public init(keepsState: Bool = false) {
      self.keepsState = keepsState
    }
  }

  /// A capability whose bytes mean something to the vendor only.
  public struct VendorSpecific: Hashable, Sendable {
    /// What comes after ID, next pointer and length.
    public var bytes: [UInt8]
    /// For each byte the bits that software can change; those beyond its end are fixed.
    public var writable: [UInt8]

    public init(bytes: [UInt8], writable: [UInt8] = []) {
      self.bytes = bytes
      self.writable = writable
    }
  }

  /// An extended capability: what comes after its header of 4 bytes.
  public struct ExtendedCapability: Hashable, Sendable {
    public var id: UInt16
    /// 1 to 15.
    public var version: UInt8
    public var bytes: [UInt8]
    /// For each byte the bits that software can change; those beyond its end are fixed.
    public var writable: [UInt8]

    public init(id: UInt16, version: UInt8 = 1, bytes: [UInt8], writable: [UInt8] = []) {
      self.id = id
      self.version = version
      self.bytes = bytes
      self.writable = writable
    }

    /// Device Serial Number.
    public static func serialNumber(_ number: UInt64) -> Self {
      Self(id: 0x0003, bytes: (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
    }

    /// Vendor-Specific, with its own ID and `bytes` after both headers.
    public static func vendorSpecific(
      id: UInt16, revision: UInt8 = 1, bytes: [UInt8], writable: [UInt8] = []
    ) -> Self {
      let word = UInt32(id) | UInt32(revision & 0xf) << 16 | UInt32(bytes.count + 8) << 20
      let header = (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
      return Self(id: 0x000b, bytes: header + bytes, writable: [0, 0, 0, 0] + writable)
    }
  }
}
