import DeviceKit

extension PCIFunctionDescription {
  /// What is wrong with the description, nil where nothing is.
  var flaw: String? {
    barFlaw ?? romFlaw ?? messageFlaw ?? capabilityFlaw
  }

  private var barFlaw: String? {
    for (number, bar) in bars.sorted(by: { $0.key < $1.key }) {
      guard (0...5).contains(number) else { return "there is no BAR \(number)" }
      let isPowerOfTwo = bar.size.nonzeroBitCount == 1
      switch bar.space {
      case .memory32:
        guard isPowerOfTwo, (16...1 << 31).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 16 bytes to 2 GiB"
        }
      case .memory64:
        // A region's offset leaves 40 bits for what is in it.
        guard isPowerOfTwo, (16...1 << 39).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 16 bytes to 512 GiB"
        }
        guard number < 5, bars[number + 1] == nil else {
          return "BAR \(number) has 64 bits and needs the next one too"
        }
      case .io:
        guard isPowerOfTwo, (4...256).contains(bar.size) else {
          return "BAR \(number) must have a power of two of 4 to 256 ports"
        }
        guard !bar.isRAM, !bar.isPrefetchable else { return "BAR \(number) has ports, not memory" }
      }
    }
    return nil
  }

  private var romFlaw: String? {
    guard let rom else { return nil }
    guard rom.count <= 16 << 20 else { return "the ROM is larger than 16 MiB" }
    guard rom.starts(with: [0x55, 0xaa]) else {
      return "the ROM does not begin with the signature 55 aa"
    }
    return nil
  }

  private var messageFlaw: String? {
    if let msi, ![1, 2, 4, 8, 16, 32].contains(msi.vectors) {
      return "MSI must have 1, 2, 4, 8, 16 or 32 vectors"
    }
    guard let msix else { return nil }
    guard (1...2048).contains(msix.vectors) else { return "MSI-X must have 1 to 2048 vectors" }
    for (place, end, name) in [
      (msix.table, msix.table.offset.addingReportingOverflow(16 * UInt64(msix.vectors)), "table"),
      (
        msix.pending,
        msix.pending.offset.addingReportingOverflow(8 * UInt64((msix.vectors + 63) / 64)),
        "pending bits"
      ),
    ] {
      guard let bar = bars[place.bar], bar.space != .io, place.offset % 8 == 0,
        place.offset <= UInt64(UInt32.max), !end.overflow, end.partialValue <= bar.size
      else { return "the MSI-X \(name) must be inside a memory BAR, at a multiple of 8" }
    }
    if bars[msix.pending.bar]?.isRAM == true {
      return "the MSI-X pending bits cannot be in RAM, which anybody could change"
    }
    let shareBAR = msix.table.bar == msix.pending.bar
    if shareBAR, msix.tableRange.overlaps(msix.pendingRange) {
      return "the MSI-X table and pending bits overlap"
    }
    return nil
  }

  private var capabilityFlaw: String? {
    if classCode > 0xff_ffff { return "the class code has 24 bits" }
    if reset == .pm, powerManagement?.keepsState != false {
      return "a reset by power management needs a D3hot that forgets"
    }
    if vendorSpecific.contains(where: { $0.bytes.count > 252 }) {
      return "a vendor-specific capability has at most 252 bytes"
    }
    let size = PCICapability.list(of: self).reduce(0) { $0 + $1.size }
    if size > PCIConfigLayout.conventionalSize - PCIConfigLayout.capabilitiesStart {
      return "the capabilities take more than 192 bytes"
    }
    if !extended.isEmpty, !isExpress {
      return "extended capabilities are for functions of PCI Express"
    }
    if extended.contains(where: { !(1...15).contains($0.version) }) {
      return "an extended capability has a version of 1 to 15"
    }
    let extendedSize = extended.reduce(0) { $0 + PCICapability.size(of: $1) }
    if extendedSize > PCIConfigLayout.expressSize - PCIConfigLayout.conventionalSize {
      return "the extended capabilities take more than 3840 bytes"
    }
    return nil
  }
}
