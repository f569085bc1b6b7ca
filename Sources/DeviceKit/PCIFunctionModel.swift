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
  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64

  /// Writes `width` bytes at `offset` of BAR `bar`; `offset` is a multiple of the width and inside the BAR.
  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64)

  /// Puts every register back to its power-on value and stops what runs.
  func reset()
}

/// What a PCI function model acts on: the function's pins.
public protocol PCIFunctionPort: AnyObject, Sendable {
  /// Memory, as the function reaches it. Faults while bus mastering is off.
  var dma: any DMAPort { get }

  /// Drives the INTx pin.
  func setINTx(asserted: Bool)

  /// Sends message `vector` by MSI or MSI-X, whichever is enabled.
  ///
  /// - Returns: false when neither is enabled or bus mastering is off: the message is lost, or INTx is to be used.
  @discardableResult
  func sendMSI(vector: Int) -> Bool

  /// Whether software has enabled MSI or MSI-X.
  var isMSIEnabled: Bool { get }

  /// Runs `work` on another thread after `delay`. `work` may wait for client memory.
  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void)

  /// Tells people that a driver did something the device refuses.
  func report(_ sentence: String)
}
