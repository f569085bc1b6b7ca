/// The width of one register access, in bytes.
public enum AccessWidth: Int, Sendable, CaseIterable {
  case byte = 1
  case word = 2
  case dword = 4
  case qword = 8
}

/// A model of one PCI function: what stands behind its BARs.
///
/// Configuration space, BAR decoding, interrupts and DMA routing are the bus's; a model sees register
/// accesses and resets, and acts on its `PCIFunctionPort`. Calls come from any thread, and may come
/// at the same time: a model guards its own state. No call may wait; work that takes time goes through
/// `PCIFunctionPort.after`.
public protocol PCIFunctionModel: AnyObject, Sendable {
  /// Reads `width` bytes at `offset` of BAR `bar`; `offset` is a multiple of the width and inside the BAR.
  /// Bits of the value above the width are ignored.
  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64

  /// Writes `width` bytes at `offset` of BAR `bar`; `offset` is a multiple of the width and inside the BAR.
  /// Bits of `value` above the width are 0.
  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64)

  /// Puts every register back to its power-on value, lowers INTx and stops what runs: a transfer or a delay
  /// under way has no effect any more.
  func reset()

  /// Software turned bus mastering on or off. With it off nothing may stay pending that would reach
  /// memory once it is on again.
  func busMasterChanged(isEnabled: Bool)
}

extension PCIFunctionModel {
  /// For models that start no transfer of their own.
  public func busMasterChanged(isEnabled: Bool) {}
}

/// What a PCI function model acts on: the function's pins.
///
/// Calls never wait and never call the model back, so that a model may make them with its own lock
/// held, which keeps levels and messages in the order of its state; all but transfers through `dma`.
public protocol PCIFunctionPort: AnyObject, Sendable {
  /// Memory, as the function reaches it. Faults while bus mastering is off.
  ///
  /// Transfers wait for client memory: only from work given to `after`, with no lock held.
  var dma: any DMAPort { get }

  /// The memory of a BAR that is RAM, nil for other BARs.
  func memory(bar: Int) -> (any DeviceMemory)?

  /// Whether software lets the function reach memory and send messages.
  var isBusMaster: Bool { get }

  /// Drives the INTx pin, a level: it stays as it is until the next call. While MSI or MSI-X is enabled the
  /// bus keeps the pin low, whatever the model drives.
  func setINTx(asserted: Bool)

  /// Sends message `vector` by MSI or MSI-X, whichever is enabled.
  ///
  /// - Returns: false when neither is enabled, bus mastering is off or software enabled fewer vectors: the
  ///   message is lost.
  @discardableResult
  func sendMSI(vector: Int) -> Bool

  /// Whether software has enabled MSI or MSI-X.
  var isMSIEnabled: Bool { get }

  /// Reports an error of the function that it cannot correct itself, as PCI Express does by an error message. A
  /// client of today's API learns of it by the eventfd of `VFIO_PCI_ERR_IRQ_INDEX`, which conventional functions
  /// do not have.
  func reportUncorrectableError()

  /// Runs `work` once on another thread, no earlier than `delay` from now. `work` may wait for client memory.
  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void)

  /// Tells people that a driver did something the device refuses, in one sentence without a full stop.
  func report(_ sentence: String)
}
