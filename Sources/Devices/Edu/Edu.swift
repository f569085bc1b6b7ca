public import DeviceKit
import Synchronization

/// QEMU's educational device (docs/specs/edu.rst, hw/misc/edu.c): a factorial unit, an interrupt
/// register and a DMA engine with a buffer of 4 KiB.
///
/// Where QEMU only logs a transfer outside the buffer, this one refuses it.
public final class Edu: PCIFunctionModel {
  public static let kind = PCIFunctionKind(
    name: "edu", description: description, make: { Edu(port: $0) })

  private static let description = {
    var description = PCIFunctionDescription(
      vendorID: 0x1234, deviceID: 0x11e8, revision: 0x10, classCode: 0x00ff00,
      subsystemVendorID: 0x1af4, subsystemID: 0x1100,
      bars: [0: .memory32(size: 1 << 20)], interruptPin: .a,
      msi: .init(vectors: 1, is64Bit: true), reset: .flr)
    description.heedsUnaskedResets = false
    description.takesQwords = true
    return description
  }()

  enum Register {
    static let identification: UInt64 = 0x00
    static let liveness: UInt64 = 0x04
    static let factorial: UInt64 = 0x08
    static let status: UInt64 = 0x20
    static let interruptStatus: UInt64 = 0x24
    static let interruptRaise: UInt64 = 0x60
    static let interruptAcknowledge: UInt64 = 0x64
    static let dmaSource: UInt64 = 0x80
    static let dmaDestination: UInt64 = 0x88
    static let dmaCount: UInt64 = 0x90
    static let dmaCommand: UInt64 = 0x98
  }

  static let identification: UInt32 = 0x0100_00ed
  static let factorialInterrupt: UInt32 = 0x001
  static let dmaInterrupt: UInt32 = 0x100
  static let statusComputing: UInt32 = 1 << 0
  static let statusInterrupt: UInt32 = 1 << 7

  struct State {
    var liveness: UInt32 = 0
    var factorial: UInt32 = 0
    var isComputing = false
    var raisesAfterFactorial = false
    var interrupts: UInt32 = 0
    var dma = EduDMA()
    /// A transfer moves bytes right now. It outlives a reset: there is never more than one, as there is one
    /// engine, and as a client whose memory never answers could have any number wait.
    var isMoving = false
    /// Counts resets: work that was given to the port before one has no effect after it.
    var generation: UInt64 = 0
  }

  let port: any PCIFunctionPort
  /// Held while the pins are driven, so that they follow the registers in order.
  let state = Mutex(State())

  public init(port: any PCIFunctionPort) {
    self.port = port
  }

  public func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    guard let mask = Self.readMask(offset, width) else { return 0 }
    let value: UInt64 = state.withLock { state in
      switch offset {
      case _ where !Self.isAllowed(offset, width): .max
      case Register.identification: UInt64(Self.identification)
      case Register.liveness: UInt64(state.liveness)
      case Register.factorial: UInt64(state.factorial)
      case Register.status: UInt64(state.status)
      case Register.interruptStatus: UInt64(state.interrupts)
      case Register.dmaSource: state.dma.source
      case Register.dmaDestination: state.dma.destination
      case Register.dmaCount: state.dma.count
      case Register.dmaCommand: state.dma.command
      default: .max
      }
    }
    return value & mask
  }

  public func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard Self.isAllowed(offset, width) else { return }
    let word = UInt32(truncatingIfNeeded: value)
    switch offset {
    case Register.liveness: state.withLock { $0.liveness = ~word }
    case Register.factorial: computeFactorial(of: word)
    case Register.status:
      state.withLock { $0.raisesAfterFactorial = word & Self.statusInterrupt != 0 }
    case Register.interruptRaise: state.withLock { raise(word, &$0) }
    case Register.interruptAcknowledge: state.withLock { acknowledge(word, &$0) }
    case Register.dmaSource...: writeDMA(offset, value)
    default: break
    }
  }

  public func reset() {
    state.withLock { state in
      state = State(isMoving: state.isMoving, generation: state.generation + 1)
      port.setINTx(asserted: false)
    }
  }

  public func busMasterChanged(isEnabled: Bool) {
    if !isEnabled { state.withLock { $0.dma.abandon() } }
  }

  /// 4 bytes below 0x80, 4 or 8 from there on.
  private static func isAllowed(_ offset: UInt64, _ width: AccessWidth) -> Bool {
    width == .dword || width == .qword && offset >= Register.dmaSource
  }

  /// - Returns: nil for narrow accesses, which the bus of QEMU answers with 0 in the device's place.
  private static func readMask(_ offset: UInt64, _ width: AccessWidth) -> UInt64? {
    switch width {
    case .byte, .word: nil
    case .dword: UInt64(UInt32.max)
    case .qword: .max
    }
  }

  // MARK: - Interrupts

  /// Sets bits of the interrupt status. Call with the lock held.
  func raise(_ bits: UInt32, _ state: inout State) {
    state.interrupts |= bits
    guard state.interrupts != 0 else { return }
    port.setINTx(asserted: true)
    if port.isMSIEnabled { port.sendMSI(vector: 0) }
  }

  private func acknowledge(_ bits: UInt32, _ state: inout State) {
    state.interrupts &= ~bits
    if state.interrupts == 0 { port.setINTx(asserted: false) }
  }

  // MARK: - Factorial

  private func computeFactorial(of n: UInt32) {
    let generation: UInt64? = state.withLock { state in
      if state.isComputing { return nil }
      state.isComputing = true
      state.factorial = n
      return state.generation
    }
    guard let generation else { return }
    port.after(.zero) { [weak self] in
      let result = Self.factorial(n)
      guard let self else { return }
      state.withLock { state in
        guard state.generation == generation else { return }
        state.factorial = result
        state.isComputing = false
        if state.raisesAfterFactorial { self.raise(Self.factorialInterrupt, &state) }
      }
    }
  }

  /// n! modulo 2^32. From 34 on it is 0, as 34! has 32 factors of two.
  static func factorial(_ n: UInt32) -> UInt32 {
    if n >= 34 { return 0 }
    return (0..<n).reduce(1) { $0 &* ($1 + 1) }
  }
}

extension Edu.State {
  fileprivate var status: UInt32 {
    (isComputing ? Edu.statusComputing : 0) | (raisesAfterFactorial ? Edu.statusInterrupt : 0)
  }
}
