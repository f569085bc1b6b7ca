import ClientAccess
import DeviceKit
import Logging
import Synchronization
import SystemPackage
import VFIOABI

/// A PCI function on the emulated bus, and how vfio-pci gives a client access to it.
final class PCIFunction: Sendable {
  let address: PCIAddress
  let kind: PCIFunctionKind
  let barAddresses: [Int: UInt64]
  let pins: PCIPins
  let memory: PCIMemory?
  let events = PCIClientEvents()
  private let model: any PCIFunctionModel
  private let openCount = Mutex(0)

  /// - Parameter memory: what is behind the BARs that are RAM, nil where none is.
  init(
    address: PCIAddress, kind: PCIFunctionKind, barAddresses: [Int: UInt64], memory: PCIMemory?,
    scheduler: any Scheduler, logger: Logger
  ) {
    self.address = address
    self.kind = kind
    self.barAddresses = barAddresses
    pins = PCIPins(
      kind.description, addresses: barAddresses, memory: memory, scheduler: scheduler,
      logger: logger)
    self.memory = memory
    model = kind.make(pins)
  }

  // MARK: - Open and close

  /// A client opens the function; the first enables it: configuration space is as after power-on, with
  /// decoding on and bus mastering off. Registers are as they were left.
  func open() {
    openCount.withLock { count in
      count += 1
      if count == 1 { pins.restoreConfig() }
    }
  }

  /// A descriptor is gone; the last one disables the interrupts, drops their eventfds and stops DMA.
  func close() {
    openCount.withLock { count in
      count -= 1
      guard count == 0 else { return }
      pins.clearAllSignals()
      events.clear()
      changeConfig { _ = $0.command.remove(.busMaster) }
    }
  }

  /// Resets the model; configuration space is saved and restored, as `pci_reset_function` does.
  ///
  /// - Throws: `EINVAL` where the function has no reset.
  func reset() throws(Errno) {
    guard kind.description.hasReset else { throw .invalidArgument }
    model.reset()
  }

  /// The bus was reset, and the function with it.
  func resetWithBus() {
    model.reset()
  }

  // MARK: - Regions

  /// Bytes of a region, 0 where the function does not have it.
  func size(of region: PCIRegion) -> UInt64 {
    switch region {
    case .bar0, .bar1, .bar2, .bar3, .bar4, .bar5: bar(region)?.size ?? 0
    case .rom: 0
    case .config: UInt64(PCIConfigSpace.size)
    }
  }

  /// Reads at `offset` of `region`, short across its end.
  ///
  /// - Throws: `EINVAL` at or past the end, `EIO` where the command register has the BAR's decoding off.
  func read(
    _ region: PCIRegion, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    // SAFETY: `count` is at most the buffer's, and every index below is under it.
    let count = try count(region, offset, buffer.count)
    if region == .config {
      pins.look { state in
        for i in 0..<count { buffer[i] = state.config.byte(at: Int(offset) + i) }
      }
    } else {
      try checkDecoding(region)
      if let window = window(region) {
        window.read(
          at: Int(offset), into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        return count
      }
      for (start, width) in PCIAccessPieces(offset: offset, count: count) {
        let value = model.read(
          bar: Int(region.rawValue), offset: offset + UInt64(start), width: width)
        for i in 0..<width.rawValue {
          buffer[start + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(i)))
        }
      }
    }
    return count
  }

  /// Writes at `offset` of `region`, short across its end; throws as `read`.
  func write(
    _ region: PCIRegion, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    // SAFETY: `count` is at most the buffer's, and every index below is under it.
    let count = try count(region, offset, buffer.count)
    if region == .config {
      changeConfig { config in
        for i in 0..<count { config.write(buffer[i], at: Int(offset) + i) }
      }
    } else {
      try checkDecoding(region)
      if let window = window(region) {
        window.write(at: Int(offset), from: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
      }
      for (start, width) in PCIAccessPieces(offset: offset, count: count) {
        var value: UInt64 = 0
        for i in 0..<width.rawValue { value |= UInt64(buffer[start + i]) << (8 * UInt64(i)) }
        model.write(
          bar: Int(region.rawValue), offset: offset + UInt64(start), width: width, value: value)
      }
    }
    return count
  }

  /// Configuration space as the host sees it: what clients write to BARs stays with them.
  func hostConfig() -> [UInt8] {
    let atOpen = PCIConfigSpace(kind.description, addresses: barAddresses)
    return pins.look { state in
      (0..<PCIConfigSpace.size).map { offset in
        PCIConfigSpace.bars.contains(offset)
          ? atOpen.byte(at: offset) : state.config.byte(at: offset)
      }
    }
  }

  private func window(_ region: PCIRegion) -> SharedMemory.Window? {
    region.bar.flatMap { memory?.windows[$0] }
  }

  private func bar(_ region: PCIRegion) -> PCIFunctionDescription.BAR? {
    kind.description.bars[Int(region.rawValue)]
  }

  private func count(
    _ region: PCIRegion, _ offset: UInt64, _ wanted: Int
  ) throws(Errno) -> Int {
    let size = size(of: region)
    guard offset < size else { throw .invalidArgument }
    return Int(min(UInt64(wanted), size - offset))
  }

  private func checkDecoding(_ region: PCIRegion) throws(Errno) {
    let needed: PCICommand = bar(region)?.space == .io ? .ioSpace : .memorySpace
    let isOn = pins.look { $0.config.command.contains(needed) }
    if !isOn { throw .ioError }
  }

  /// Changes configuration space, and tells the model where that turned bus mastering on or off.
  private func changeConfig(_ change: (inout PCIConfigSpace) -> Void) {
    let (before, after) = pins.update { state in
      let before = state.config.command.contains(.busMaster)
      change(&state.config)
      return (before, state.config.command.contains(.busMaster))
    }
    if before != after { model.busMasterChanged(isEnabled: after) }
  }

  // MARK: - Interrupts

  /// How many of an interrupt the function has.
  func count(of interrupt: PCIInterrupt) -> Int {
    switch interrupt {
    case .intx: kind.description.interruptPin == .none ? 0 : 1
    case .msi: kind.description.msi?.vectors ?? 0
    case .msix: 0
    }
  }
}
