import ClientAccess
import DeviceKit
import Logging
import SoftIOMMU
import Synchronization

/// The bus side of a PCI function: its configuration space, its interrupt lines and its way to memory.
///
/// A model acts on it as its port; the bus driver steers it. One lock guards the state and is never held
/// across an eventfd, a model or client memory.
final class PCIPins: PCIFunctionPort, DMAPort {
  struct State {
    var config: PCIConfigSpace
    /// What the model drives the INTx pin to.
    var line = false
    var delivery = PCIInterruptDelivery.off
    var pendingMSIX: PCIPendingBits
    /// Reports that may still be loud in the log; the client could make any number of them.
    var loudReports = PCIPins.loudReports
  }

  static let loudReports = 8

  /// Attached to a domain by the core while the group is in use.
  let domainPort: DomainPort
  let events = PCIClientEvents()
  private let state: Mutex<State>
  private let layout: PCIConfigLayout
  private let memory: RegionMemory?
  private let scheduler: any Scheduler
  private let logger: Logger

  init(
    _ description: PCIFunctionDescription, device: String = "", addresses: [Int: UInt64],
    memory: RegionMemory?,
    scheduler: any Scheduler, logger: Logger
  ) {
    layout = PCIConfigLayout(description, addresses: addresses)
    self.memory = memory
    self.scheduler = scheduler
    self.logger = logger
    domainPort = DomainPort(device: device, faults: .reporting(to: logger))
    state = Mutex(
      State(
        config: PCIConfigSpace(layout),
        pendingMSIX: PCIPendingBits(count: description.msix?.vectors ?? 0)))
  }

  /// Changes the state, then signals what the change makes due.
  func update<Result: Sendable, Failure: Error>(
    _ change: (inout State) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let (result, signal, messages) = try state.withLock { state throws(Failure) in
      let result = try change(&state)
      return (result, state.dueINTx(), state.dueMessages())
    }
    signal?.signal()
    for message in messages { message.signal() }
    return result
  }

  func look<Result: Sendable>(_ body: (borrowing State) -> Result) -> Result {
    state.withLock { body($0) }
  }

  /// Puts configuration space back to what a client finds at open.
  func restoreConfig() {
    update { state in
      state.config = PCIConfigSpace(layout)
      state.loudReports = Self.loudReports
    }
  }

  // MARK: - PCIFunctionPort

  var dma: any DMAPort { self }

  func memory(bar: Int) -> (any DeviceMemory)? { memory?.windows[bar] }

  func setINTx(asserted: Bool) {
    update { $0.line = asserted }
  }

  @discardableResult
  func sendMSI(vector: Int) -> Bool {
    let (isSent, signal) = state.withLock { $0.send(vector) }
    signal?.signal()
    return isSent
  }

  func reportUncorrectableError() {
    logger.debug("uncorrectable error")
    events.signal(.error)
  }

  var isMSIEnabled: Bool {
    look { $0.isMessaging }
  }

  var isBusMaster: Bool {
    look { $0.config.isBusMaster }
  }

  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    scheduler.after(delay, work)
  }

  func report(_ sentence: String) {
    let isLoud = update { state in
      if state.loudReports == 0 { return false }
      state.loudReports -= 1
      return true
    }
    logger.log(level: isLoud ? .warning : .debug, "\(sentence)")
  }

  // MARK: - DMAPort

  func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    guard isBusMaster else {
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      return DMAFault(iova: iova, cause: .busMasterDisabled)
    }
    return domainPort.read(iova, into: buffer)
  }

  func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    guard isBusMaster else { return DMAFault(iova: iova, cause: .busMasterDisabled) }
    return domainPort.write(iova, from: buffer)
  }

  func read(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    if isBusMaster { return domainPort.read(segments) }
    for segment in segments { segment.buffer.initializeMemory(as: UInt8.self, repeating: 0) }
    return segments.first.map { DMAFault(iova: $0.iova, cause: .busMasterDisabled) }
  }

  func write(_ segments: UnsafeBufferPointer<DMASegment>) -> DMAFault? {
    if isBusMaster { return domainPort.write(segments) }
    return segments.first.map { DMAFault(iova: $0.iova, cause: .busMasterDisabled) }
  }

  func atomic(
    _ operation: DMAAtomic, _ iova: IOVA, width: Int, operand: UInt64
  ) throws(DMAFault) -> UInt64 {
    guard isBusMaster else { throw DMAFault(iova: iova, cause: .busMasterDisabled) }
    return try domainPort.atomic(operation, iova, width: width, operand: operand)
  }
}
