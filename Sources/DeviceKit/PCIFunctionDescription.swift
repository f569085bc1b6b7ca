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
    /// through `PCIFunctionPort.memory`. Of other BARs the model sees every access, of clients that map them, too.
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

  /// How a function is reset without its neighbours.
  public enum Reset: String, Hashable, Sendable, CaseIterable {
    /// Not at all.
    case none
    /// By a function level reset, which the PCI Express capability offers then.
    case flr
    /// By a trip to D3hot and back; needs `powerManagement`, without `keepsState`.
    case pm
    /// With the bus that it is on, as long as nothing else is there.
    case bus
  }

  public enum InterruptPin: UInt8, Sendable {
    case none = 0
    case a, b, c, d
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
  /// The expansion ROM's image, from its signature 55 aa on; nil for none.
  public var rom: [UInt8]?
  public var interruptPin: InterruptPin
  public var msi: MSI?
  public var msix: MSIX?
  public var powerManagement: PowerManagement?
  /// Whether it is an endpoint of PCI Express, which has 4096 bytes of configuration space.
  public var isExpress: Bool
  /// Capabilities of the vendor's own.
  public var vendorSpecific: [VendorSpecific] = []
  /// Behind the first 256 bytes, for functions of PCI Express.
  public var extended: [ExtendedCapability] = []
  public var reset: Reset
  /// Whether it is reset when nobody asked for that, as today's kernel does when a function is opened first
  /// and closed last. QEMU's edu heeds none.
  public var heedsUnaskedResets = true
  /// Whether an aligned access of 8 bytes by a client that has mapped the registers reaches the model as one;
  /// else as two of 4 bytes, as all by pread and pwrite do.
  public var takesQwords = false

  public init(
    vendorID: UInt16, deviceID: UInt16, revision: UInt8 = 0, classCode: UInt32,
    subsystemVendorID: UInt16 = 0, subsystemID: UInt16 = 0, bars: [Int: BAR] = [:],
    rom: [UInt8]? = nil, interruptPin: InterruptPin = .none, msi: MSI? = nil, msix: MSIX? = nil,
    powerManagement: PowerManagement? = nil, isExpress: Bool = false,
    vendorSpecific: [VendorSpecific] = [], extended: [ExtendedCapability] = [],
    reset: Reset = .flr
  ) {
    self.vendorID = vendorID
    self.deviceID = deviceID
    self.revision = revision
    self.classCode = classCode
    self.subsystemVendorID = subsystemVendorID
    self.subsystemID = subsystemID
    self.bars = bars
    self.rom = rom
    self.interruptPin = interruptPin
    self.msi = msi
    self.msix = msix
    self.powerManagement = powerManagement
    self.isExpress = isExpress
    self.vendorSpecific = vendorSpecific
    self.extended = extended
    self.reset = reset
  }

  /// Bytes of configuration space.
  public var configSize: Int { isExpress ? 4096 : 256 }

  /// Bytes of the expansion ROM's BAR: the image's, up to a power of two; 0 without one.
  public var romSize: UInt64 {
    guard let rom else { return 0 }
    var size: UInt64 = 2048
    while size < UInt64(rom.count) { size *= 2 }
    return size
  }
}
