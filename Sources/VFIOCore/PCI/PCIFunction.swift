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
  let memory: RegionMemory?
  var events: PCIClientEvents { pins.events }
  let model: any PCIFunctionModel
  private let use = Mutex(Use())
  /// The address registers as the host has them; the rest of it is not used.
  private let hostAddresses: Mutex<PCIConfigSpace>
  private let neighbours: @Sendable () -> [PCIAddress]

  /// - Parameters:
  ///   - barAddresses: where the platform put the BARs, and the ROM as number 6.
  ///   - memory: what is behind the BARs that are RAM, nil where none is.
  ///   - neighbours: what is on its bus now, itself included.
  init(
    address: PCIAddress, kind: PCIFunctionKind, barAddresses: [Int: UInt64], memory: RegionMemory?,
    scheduler: any Scheduler, logger: Logger,
    neighbours: @escaping @Sendable () -> [PCIAddress]
  ) {
    self.address = address
    self.kind = kind
    self.barAddresses = barAddresses
    self.neighbours = neighbours
    hostAddresses = Mutex(
      PCIConfigSpace(PCIConfigLayout(kind.description, addresses: barAddresses)))
    pins = PCIPins(
      kind.description, device: "\(address)", addresses: barAddresses, memory: memory,
      scheduler: scheduler,
      logger: logger)
    self.memory = memory
    model = kind.make(pins)
  }

  // MARK: - Open and close

  private struct Use {
    var count = 0
    /// Whether a client of today's API left it as it was, for want of a reset of its own.
    var wantsReset = false
  }

  /// A client opens the function; the first enables it: configuration space is as after power-on, with
  /// decoding on and bus mastering off. Registers are as they were left.
  ///
  /// - Parameter resets: the function is reset then, where it can be alone, as today's kernel does.
  func open(resets: Bool) {
    use.withLock { use in
      use.count += 1
      guard use.count == 1 else { return }
      if resets { resetUnasked() }
      pins.restoreConfig()
    }
  }

  /// A descriptor is gone; the last one disables the interrupts, drops their eventfds and stops DMA.
  ///
  /// - Parameter resets: as in `open`.
  func close(resets: Bool) {
    use.withLock { use in
      use.count -= 1
      guard use.count == 0 else { return }
      pins.disableAll()
      events.clear()
      change { _ = $0.config.command.remove(.busMaster) }
      guard resets else { return }
      resetUnasked()
      use.wantsReset = !hasReset
    }
  }

  /// Whether nobody has it open; and whether it is to be reset then.
  var idleness: (isIdle: Bool, wantsReset: Bool) {
    use.withLock { ($0.count == 0, $0.wantsReset) }
  }

  /// Resets the function, by its bus, where nobody has opened it meanwhile.
  func resetWhileIdle() {
    use.withLock { use in
      guard use.count == 0 else { return }
      if kind.description.heedsUnaskedResets { resetNow() }
      use.wantsReset = false
    }
  }

  // MARK: - Reset

  /// Whether the function can be reset without another one.
  var hasReset: Bool {
    switch kind.description.reset {
    case .none: false
    case .flr, .pm: true
    case .bus: neighbours().count == 1
    }
  }

  /// Resets the function as `pci_reset_function` does, and leaves it in D0.
  ///
  /// - Throws: `EINVAL` where the function has no reset.
  func reset() throws(Errno) {
    guard hasReset else { throw .invalidArgument }
    resetNow()
  }

  private func resetUnasked() {
    if kind.description.heedsUnaskedResets, hasReset { resetNow() }
  }

  /// Resets the function, whatever way it has for that: a reset of its bus. The kernel saves and restores
  /// configuration space, but for bytes that it knows nothing of; eventfds stay.
  func resetNow() {
    model.reset()
    change { state in
      state.config.reset()
      state.pendingMSIX.removeAll()
    }
  }

  // MARK: - Configuration space

  /// Reads from configuration space. The bytes are all inside.
  func readConfig(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
    pins.look { state in
      for i in buffer.indices { buffer[i] = state.config.byte(at: offset + i) }
    }
    let header = PCIConfigLayout.headerType - offset
    if buffer.indices.contains(header) { buffer[header] |= multifunctionBit }
  }

  /// Of function 0 alone, where others are in its device.
  private var multifunctionBit: UInt8 {
    guard address.function == 0 else { return 0 }
    let hasMore = neighbours().contains { $0.device == address.device && $0.function > 0 }
    return hasMore ? 0x80 : 0
  }

  /// Configuration space as the host sees it: what clients write to BARs stays with them.
  func hostConfig() -> [UInt8] {
    let host = hostAddresses.withLock { $0 }
    var bytes = [UInt8](repeating: 0, count: kind.description.configSize)
    // SAFETY: the array's own storage, for the length of the call.
    bytes.withUnsafeMutableBytes { readConfig(at: 0, into: $0) }
    for offset in bytes.indices where PCIConfigLayout.isAddress(offset) {
      bytes[offset] = host.byte(at: offset)
    }
    return bytes
  }

  /// A write of the host's, as through sysfs. What it says of BARs and the ROM stays in the registers, for
  /// software that sizes them; nothing moves.
  ///
  /// - Parameter offset: with all of the bytes inside.
  func writeHostConfig(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    var start = 0
    while start < bytes.count {
      let isAddress = PCIConfigLayout.isAddress(offset + start)
      let end =
        bytes[start...].indices.first { PCIConfigLayout.isAddress(offset + $0) != isAddress }
        ?? bytes.count
      // SAFETY: a part of the buffer.
      let part = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      if isAddress {
        hostAddresses.withLock { _ = $0.write(part, at: offset + start) }
      } else {
        writeConfig(part, at: offset + start)
      }
      start = end
    }
  }

  /// Turns decoding on, or bus mastering off, as `pci_enable_device` and `pci_disable_device` do.
  func setEnabled(_ isEnabled: Bool) {
    change { state in
      if isEnabled {
        state.config.command.formUnion([.ioSpace, .memorySpace])
      } else {
        state.config.command.remove(.busMaster)
      }
    }
  }

  /// Writes to configuration space, and does what that asks for. The bytes are all inside.
  func writeConfig(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    let effects = change { state in
      let effects = state.config.write(bytes, at: offset)
      if effects.contains(.intxUnmask), case .intx(var intx) = state.delivery {
        intx.isMasked = false
        state.delivery = .intx(intx)
      }
      // Whatever the model drove, the function drives it no more.
      if !effects.isDisjoint(with: .losesRegisters) { state.line = false }
      return effects
    }
    if !effects.isDisjoint(with: .losesRegisters) { resetNow() }
  }

  /// Changes the bus's side of the function, and tells the model where that turned bus mastering on or off.
  @discardableResult
  private func change<Result: Sendable>(_ change: (inout PCIPins.State) -> Result) -> Result {
    let (result, before, after) = pins.update { state in
      let before = state.config.isBusMaster
      return (change(&state), before, state.config.isBusMaster)
    }
    if before != after { model.busMasterChanged(isEnabled: after) }
    return result
  }

  // MARK: - Interrupts

  /// How many of an interrupt the function has.
  func count(of interrupt: PCIInterrupt) -> Int {
    switch interrupt {
    case .intx: kind.description.interruptPin == .none ? 0 : 1
    case .msi: kind.description.msi?.vectors ?? 0
    case .msix: kind.description.msix?.vectors ?? 0
    }
  }
}
