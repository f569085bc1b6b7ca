/// What a PCI function's configuration header and capability list say of it.
public struct PCIFunctionDescription: Sendable {
  public enum BAR: Hashable, Sendable {
    /// 32-bit memory of `size` bytes, a power of two of at least 16.
    case memory32(size: UInt64, prefetchable: Bool = false)
    /// 64-bit memory of `size` bytes; takes this BAR and the next.
    case memory64(size: UInt64, prefetchable: Bool = false)
    /// I/O ports, a power of two of at least 4.
    case io(size: UInt64)

    /// Bytes.
    public var size: UInt64 {
      switch self {
      case .memory32(let size, _), .memory64(let size, _), .io(let size): size
      }
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
  /// Whether the function has a way to be reset by itself.
  public var hasReset: Bool

  public init(
    vendorID: UInt16, deviceID: UInt16, revision: UInt8 = 0, classCode: UInt32,
    subsystemVendorID: UInt16 = 0, subsystemID: UInt16 = 0, bars: [Int: BAR] = [:],
    interruptPin: InterruptPin = .none, msi: MSI? = nil, hasReset: Bool = true
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
