/// What a PCI function's configuration header and capability list say of it.
public struct PCIFunctionDescription: Sendable {
  /// A base address register and what is behind it.
  public struct BAR: Hashable, Sendable {
    public enum Space: Sendable {
      case memory32
      /// Takes this BAR and the next.
      case memory64
      case io
    }

    public var space: Space
    /// Bytes, or I/O ports.
    public var size: UInt64
    public var isPrefetchable = false
    /// Plain memory: the bus keeps the bytes, clients can map them, and the model sees no access. Reach it
    /// through `PCIFunctionPort.memory`. Registers cannot be mapped, for nothing would see an access.
    public var isRAM = false

    /// 32-bit memory of `size` bytes, a power of two of at least 16.
    public static func memory32(size: UInt64, prefetchable: Bool = false, ram: Bool = false) -> BAR
    {
      BAR(space: .memory32, size: size, isPrefetchable: prefetchable, isRAM: ram)
    }

    /// 64-bit memory of `size` bytes, a power of two of at least 16; takes this BAR and the next.
    public static func memory64(size: UInt64, prefetchable: Bool = false, ram: Bool = false) -> BAR
    {
      BAR(space: .memory64, size: size, isPrefetchable: prefetchable, isRAM: ram)
    }

    /// I/O ports, a power of two of at least 4.
    public static func io(size: UInt64) -> BAR {
      BAR(space: .io, size: size)
    }
  }

  public enum InterruptPin: UInt8, Sendable {
    case none = 0
    case a, b, c, d
  }

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

  public var vendorID: UInt16
  public var deviceID: UInt16
  public var revision: UInt8
  /// Base class, sub-class and programming interface: 0xccssii.
  public var classCode: UInt32
  public var subsystemVendorID: UInt16
  public var subsystemID: UInt16
  /// BAR number (0 to 5) to BAR.
  public var bars: [Int: BAR]
  public var interruptPin: InterruptPin
  public var msi: MSI?
  public var msix: MSIX?
  /// Whether the function has a way to be reset by itself.
  public var hasReset: Bool

  public init(
    vendorID: UInt16, deviceID: UInt16, revision: UInt8 = 0, classCode: UInt32,
    subsystemVendorID: UInt16 = 0, subsystemID: UInt16 = 0, bars: [Int: BAR] = [:],
    interruptPin: InterruptPin = .none, msi: MSI? = nil, msix: MSIX? = nil,
    hasReset: Bool = true
  ) {
    self.vendorID = vendorID
    self.deviceID = deviceID
    self.revision = revision
    self.classCode = classCode
    self.subsystemVendorID = subsystemVendorID
    self.subsystemID = subsystemID
    self.bars = bars
    self.interruptPin = interruptPin
    self.msi = msi
    self.msix = msix
    self.hasReset = hasReset
  }
}

/// A kind of PCI function that a topology can name.
public struct PCIFunctionKind: Sendable {
  /// The name in a topology file: `edu`.
  public var name: String
  public var description: PCIFunctionDescription
  public var make: @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel

  public init(
    name: String, description: PCIFunctionDescription,
    make: @escaping @Sendable (_ port: any PCIFunctionPort) -> any PCIFunctionModel
  ) {
    self.name = name
    self.description = description
    self.make = make
  }
}
