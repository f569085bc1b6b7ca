public import DeviceKit
import Synchronization

/// A device that has and does everything once, to exercise drivers and this program: BARs of every type, a
/// ROM, INTx, MSI, MSI-X, power management, PCI Express with FLR, the vendor's own capabilities, and DMA
/// between memory and its RAM. docs/devices.md has its registers.
public final class TestDevice: PCIFunctionModel {
  public static let model = DeviceModel(
    name: "testdev", parameters: [DeviceParameter("memory", .size(4096...1 << 39))]
  ) { parameters in
    PCIFunctionKind(
      name: "testdev", description: description(memory: parameters.number("memory") ?? 1 << 20)
    ) { TestDevice(port: $0) }
  }

  enum Register {
    static let identification: UInt64 = 0x00
    static let scratch: UInt64 = 0x04
    static let intx: UInt64 = 0x08
    static let message: UInt64 = 0x0c
    static let addressLow: UInt64 = 0x10
    static let addressHigh: UInt64 = 0x14
    static let offsetLow: UInt64 = 0x18
    static let offsetHigh: UInt64 = 0x1c
    static let length: UInt64 = 0x20
    static let pattern: UInt64 = 0x24
    static let command: UInt64 = 0x28
    static let status: UInt64 = 0x2c
    static let faultLow: UInt64 = 0x30
    static let faultHigh: UInt64 = 0x34
    static let resets: UInt64 = 0x38
    static let messages: UInt64 = 0x3c
    static let transfers: UInt64 = 0x40
    static let error: UInt64 = 0x44
  }

  static let identification: UInt32 = 0x7e57_0001
  static let registers = 0
  static let ports = 1
  static let memory = 2

  struct State {
    var scratch: UInt32 = 0
    var isINTxRaised = false
    var dma = TestDeviceDMA()
    /// Messages sent since the last reset.
    var messages: UInt32 = 0
    /// Transfers finished since the last reset.
    var transfers: UInt32 = 0
    /// Survive a reset.
    var resets: UInt32 = 0
    /// A transfer moves bytes right now. It outlives a reset: there is never more than one.
    var isMoving = false
    /// Work that was given to the port before a reset has no effect after it.
    var generation: UInt64 = 0
  }

  let port: any PCIFunctionPort
  /// Held while the pins are driven, so that they follow the registers in order.
  let state = Mutex(State())

  init(port: any PCIFunctionPort) {
    self.port = port
  }

  /// Narrow accesses reach their part of a register; wider ones than 4 bytes do not come.
  public func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    guard isRegister(bar) else { return 0 }
    let word = state.withLock { value(of: offset & ~3, $0) }
    return UInt64(word) >> (8 * (offset & 3))
  }

  /// A narrow write to a register keeps the other bytes of it as they read.
  public func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard isRegister(bar) else { return }
    let register = offset & ~3
    let shift = UInt32(8 * (offset & 3))
    let mask = UInt32(truncatingIfNeeded: (UInt64(1) << UInt64(8 * min(width.rawValue, 4))) - 1)
    state.withLock { state in
      let old = self.value(of: register, state)
      let new = old & ~(mask << shift) | UInt32(truncatingIfNeeded: value) << shift
      write(new, to: register, &state)
    }
  }

  public func reset() {
    state.withLock { state in
      state = State(
        resets: state.resets &+ 1, isMoving: state.isMoving, generation: state.generation + 1)
      port.setINTx(asserted: false)
    }
  }

  public func busMasterChanged(isEnabled: Bool) {
    if !isEnabled { state.withLock { $0.dma.isAbandoned = true } }
  }

  private func isRegister(_ bar: Int) -> Bool {
    bar == Self.registers || bar == Self.ports
  }

  private func value(of register: UInt64, _ state: borrowing State) -> UInt32 {
    switch register {
    case Register.identification: Self.identification
    case Register.scratch: state.scratch
    case Register.intx: state.isINTxRaised ? 1 : 0
    case Register.addressLow: UInt32(truncatingIfNeeded: state.dma.address)
    case Register.addressHigh: UInt32(state.dma.address >> 32)
    case Register.offsetLow: UInt32(truncatingIfNeeded: state.dma.offset)
    case Register.offsetHigh: UInt32(state.dma.offset >> 32)
    case Register.length: state.dma.length
    case Register.pattern: state.dma.pattern
    case Register.command: state.dma.command
    case Register.status: state.dma.status.rawValue
    case Register.faultLow: UInt32(truncatingIfNeeded: state.dma.fault)
    case Register.faultHigh: UInt32(state.dma.fault >> 32)
    case Register.resets: state.resets
    case Register.messages: state.messages
    case Register.transfers: state.transfers
    default: 0
    }
  }

  /// Call with the lock held.
  private func write(_ value: UInt32, to register: UInt64, _ state: inout State) {
    switch register {
    case Register.scratch: state.scratch = value
    case Register.intx:
      state.isINTxRaised = value & 1 != 0
      port.setINTx(asserted: state.isINTxRaised)
    case Register.message: send(Int(value), &state)
    case Register.error: port.reportUncorrectableError()
    case Register.addressLow...Register.command where state.dma.status != .busy:
      state.dma.set(register, value)
      if register == Register.command { start(&state) }
    default: break
    }
  }

  /// Call with the lock held.
  func send(_ vector: Int, _ state: inout State) {
    if port.sendMSI(vector: vector) { state.messages &+= 1 }
  }
}
