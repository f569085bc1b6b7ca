import DeviceKit

/// The configuration space of a PCI function as a VFIO client sees it (drivers/vfio/pci/vfio_pci_config.c).
///
/// BARs are virtual: what is written to one is read back with the size's bits at 0, which is how software
/// sizes it, and moves nothing. The same for the MSI message. MSI is enabled through its eventfds; the
/// enable bit is the client's copy, which goes to the function with every write to it.
struct PCIConfigSpace: Sendable {
  /// What a write asks for beyond changing bytes.
  struct Effects: OptionSet, Sendable {
    let rawValue: Int

    /// A function level reset.
    static let reset = Effects(rawValue: 1 << 0)
    /// Power came back, and registers are lost.
    static let powerUp = Effects(rawValue: 1 << 1)
    static let losesRegisters: Effects = [.reset, .powerUp]
    /// Software took INTx's disable bit back, which unmasks it.
    static let intxUnmask = Effects(rawValue: 1 << 2)
  }

  private let layout: PCIConfigLayout
  private var bytes: [UInt8]
  /// Whether the pin is asserted: bit 3 of the status register.
  var isINTxAsserted = false
  /// The function's own MSI enable bit, which no client sees.
  private(set) var isMSIOn = false
  /// Whether the client has eventfds for MSI, without which it cannot enable it.
  private var isMSIAllowed = false
  /// log2 of the most vectors that a client can say it uses: how many it has eventfds for.
  private var msiQueueLimit: UInt8 = 0

  private static let status = 0x06
  private static let intxStatusBit: UInt8 = 1 << 3
  private static let msiEnableBit: UInt8 = 1 << 0
  private static let msixEnableBit: UInt8 = 1 << 7
  private static let flrBit: UInt8 = 1 << 7
  private static let powerStateBits: UInt8 = 0b11
  private static let keepsStateBit: UInt8 = 1 << 3
  private static let d0: UInt8 = 0
  private static let d3hot: UInt8 = 3

  /// The state at open.
  init(_ layout: PCIConfigLayout) {
    self.layout = layout
    bytes = layout.bytes
  }

  /// Bytes: 256, or 4096 for a function of PCI Express.
  var size: Int { bytes.count }

  var command: PCICommand {
    get { PCICommand(rawValue: get16(PCICommand.offset)) }
    set {
      bytes[PCICommand.offset] = UInt8(truncatingIfNeeded: newValue.rawValue)
      bytes[PCICommand.offset + 1] = UInt8(newValue.rawValue >> 8)
    }
  }

  /// Whether the function is in D0, where alone it does anything but configuration.
  var isPowered: Bool {
    layout.powerManagement.map { bytes[$0 + 4] & Self.powerStateBits == Self.d0 } ?? true
  }

  /// Whether the function may reach memory and send messages.
  var isBusMaster: Bool { command.contains(.busMaster) && isPowered }

  /// `offset` is below `size`.
  func byte(at offset: Int) -> UInt8 {
    if offset == Self.status, isINTxAsserted { return bytes[offset] | Self.intxStatusBit }
    return bytes[offset]
  }

  /// Writes bytes one after the other, each as far as the client may, then does what they ask for.
  ///
  /// - Parameter offset: with all of the bytes below `size`.
  mutating func write(_ values: UnsafeRawBufferPointer, at offset: Int) -> Effects {
    let before = command
    var effects: Effects = []
    for (i, value) in values.enumerated() {
      let at = offset + i
      let mask = layout.writable[at]
      bytes[at] = bytes[at] & ~mask | value & mask
      if at == layout.msi?.flags { settleMSI(at) }
      if let pm = layout.powerManagement, at == pm + 4 {
        effects.formUnion(setPowerState(value & Self.powerStateBits, at))
      }
      if let express = layout.express, at == express + 9, value & Self.flrBit != 0,
        layout.bytes[express + 7] & 1 << 4 != 0
      {
        effects.insert(.reset)
      }
    }
    if before.contains(.intxDisable), !command.contains(.intxDisable) {
      effects.insert(.intxUnmask)
    }
    return effects
  }

  /// D1 and D2 are not there: the state stays.
  private mutating func setPowerState(_ state: UInt8, _ offset: Int) -> Effects {
    guard state == Self.d0 || state == Self.d3hot else { return [] }
    let wasPowered = isPowered
    bytes[offset] = bytes[offset] & ~Self.powerStateBits | state
    let isLost = bytes[offset] & Self.keepsStateBit == 0
    return !wasPowered && isPowered && isLost ? .powerUp : []
  }

  /// What is lost when the function is reset; the kernel saves and restores the rest. Leaves it in D0.
  mutating func reset() {
    for range in layout.forgetful {
      bytes.replaceSubrange(range, with: layout.bytes[range])
    }
    if let pm = layout.powerManagement { bytes[pm + 4] &= ~Self.powerStateBits }
  }

  // MARK: - Messages

  /// The client wrote the lower byte of the MSI flags: what it may say there goes to the function.
  private mutating func settleMSI(_ flags: Int) {
    if !isMSIAllowed { bytes[flags] &= ~Self.msiEnableBit }
    if bytes[flags] >> 4 & 0b111 > msiQueueLimit {
      bytes[flags] = bytes[flags] & ~0x70 | msiQueueLimit << 4
    }
    isMSIOn = bytes[flags] & Self.msiEnableBit != 0
  }

  /// The client has eventfds for `vectors` messages: turns MSI on in the function.
  mutating func enableMSI(vectors: Int) {
    isMSIAllowed = true
    isMSIOn = true
    msiQueueLimit = UInt8((0...5).first { 1 << $0 >= vectors } ?? 5)
  }

  /// The client has no eventfds any more: turns MSI off, unmasked.
  mutating func disableMSI() {
    isMSIAllowed = false
    isMSIOn = false
    msiMask = 0
    msiPending = 0
  }

  /// Masked vectors; none where the function cannot mask.
  var msiMask: UInt32 {
    get { layout.msi?.mask.map(get32) ?? 0 }
    set {
      guard let msi = layout.msi, let mask = msi.mask else { return }
      put32(newValue & UInt32(truncatingIfNeeded: (1 << UInt64(msi.vectors)) - 1), at: mask)
    }
  }

  /// Masked vectors that have a message to send.
  var msiPending: UInt32 {
    get { layout.msi?.mask.map { get32($0 + 4) } ?? 0 }
    set { if let mask = layout.msi?.mask { put32(newValue, at: mask + 4) } }
  }

  /// The enable bit of MSI-X, which shows as it is.
  mutating func setMSIX(enabled: Bool) {
    guard let msix = layout.msix else { return }
    bytes[msix + 3] = bytes[msix + 3] & ~Self.msixEnableBit | (enabled ? Self.msixEnableBit : 0)
  }

  // MARK: - Little-endian values

  private func get16(_ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8
  }

  private func get32(_ offset: Int) -> UInt32 {
    UInt32(get16(offset)) | UInt32(get16(offset + 2)) << 16
  }

  private mutating func put32(_ value: UInt32, at offset: Int) {
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * i)) }
  }
}
