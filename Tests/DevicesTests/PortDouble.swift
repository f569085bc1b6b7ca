import DeviceKit
import Synchronization
import TestSupport

/// The pins of a function on the test's bench: 64 KiB of memory, and everything is written down.
final class PortDouble: PCIFunctionPort, DMAPort {
  struct State {
    var memory = [UInt8](repeating: 0, count: 0x10000)
    var isBusMaster = true
    var isMSIEnabled = false
    var isINTxAsserted = false
    var messages: [Int] = []
    var errors = 0
    var reports: [String] = []
    var transfers = 0
    var onTransfer: (@Sendable () -> Void)?
  }

  let state = Mutex(State())
  let scheduler = ManualScheduler()

  /// What can be looked at in a test.
  subscript<Value>(_ path: any KeyPath<State, Value> & Sendable) -> Value where Value: Sendable {
    state.withLock { $0[keyPath: path] }
  }

  func set<Value: Sendable>(
    _ path: any WritableKeyPath<State, Value> & Sendable, _ value: Value
  ) {
    state.withLock { $0[keyPath: path] = value }
  }

  var dma: any DMAPort { self }

  func memory(bar: Int) -> (any DeviceMemory)? { nil }
  var isBusMaster: Bool { self[\.isBusMaster] }
  var isMSIEnabled: Bool { self[\.isMSIEnabled] }

  func setINTx(asserted: Bool) {
    set(\.isINTxAsserted, asserted)
  }

  func sendMSI(vector: Int) -> Bool {
    state.withLock { state in
      guard state.isMSIEnabled, state.isBusMaster else { return false }
      state.messages.append(vector)
      return true
    }
  }

  func reportUncorrectableError() {
    state.withLock { $0.errors += 1 }
  }

  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    scheduler.after(delay, work)
  }

  func report(_ sentence: String) {
    state.withLock { $0.reports.append(sentence) }
  }

  func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    self[\.onTransfer]?()
    return state.withLock { state in
      state.transfers += 1
      guard state.isBusMaster else { return DMAFault(iova: iova, cause: .busMasterDisabled) }
      var fault: DMAFault?
      for i in 0..<buffer.count {
        let at = iova.rawValue + UInt64(i)
        buffer[i] = at < 0x10000 ? state.memory[Int(at)] : 0
        if at >= 0x10000, fault == nil { fault = DMAFault(iova: IOVA(at), cause: .unmapped) }
      }
      return fault
    }
  }

  func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    self[\.onTransfer]?()
    return state.withLock { state in
      state.transfers += 1
      guard state.isBusMaster else { return DMAFault(iova: iova, cause: .busMasterDisabled) }
      var fault: DMAFault?
      for i in 0..<buffer.count {
        let at = iova.rawValue + UInt64(i)
        if at < 0x10000 { state.memory[Int(at)] = buffer[i] }
        if at >= 0x10000, fault == nil { fault = DMAFault(iova: IOVA(at), cause: .unmapped) }
      }
      return fault
    }
  }
}
