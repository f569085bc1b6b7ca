public import DeviceKit
import Synchronization

/// A network card whose cable leads back to it: what a driver sends, it receives.
///
/// It is a virtio device of the legacy interface (Virtio 1.2, 4.1.4.10 and 5.1.4), which drivers reach through I/O
/// ports and memory of their own only: so it works where no region can be mapped. Of the features it offers
/// the MAC address and the link's state.
public final class VirtioNet: PCIFunctionModel {
  public static let model = DeviceModel(
    name: "virtio-net", parameters: [DeviceParameter("station", .number(1...0xffff))]
  ) { parameters in
    let station = UInt16(parameters.number("station") ?? 1)
    return PCIFunctionKind(
      name: "virtio-net",
      description: PCIFunctionDescription(
        vendorID: 0x1af4, deviceID: 0x1000, classCode: 0x020000, subsystemVendorID: 0x1af4,
        subsystemID: 0x0001, bars: [0: .io(size: 32)], interruptPin: .a),
      make: { VirtioNet(port: $0, station: station) })
  }

  /// Offsets in BAR 0. From `configuration` on: six bytes of MAC address, two of the link's state.
  enum Register {
    static let deviceFeatures: UInt64 = 0x00
    static let driverFeatures: UInt64 = 0x04
    static let queuePage: UInt64 = 0x08
    static let queueSize: UInt64 = 0x0c
    static let queueSelect: UInt64 = 0x0e
    static let queueNotify: UInt64 = 0x10
    static let deviceStatus: UInt64 = 0x12
    static let interruptStatus: UInt64 = 0x13
    static let configuration: UInt64 = 0x14
  }

  static let features: UInt32 = 1 << 5 | 1 << 16
  static let linkUp: UInt8 = 1
  static let statusDriverOK: UInt8 = 1 << 2
  static let queueInterrupt: UInt8 = 1 << 0

  struct State {
    var features: UInt32 = 0
    var status: UInt8 = 0
    var interrupts: UInt8 = 0
    var selectedQueue = 0
    var receive = VirtQueue()
    var transmit = VirtQueue()
    /// The driver has said that there is something to send, and nobody has looked yet.
    var isNotified = false
    /// Frames are moved right now. It outlives a reset: there is one engine.
    var isMoving = false
    /// Counts what ends all that was begun before: resets, and bus mastering going off.
    var generation: UInt64 = 0

    /// - Returns: nil where there is no such queue.
    var queue: VirtQueue? {
      get { selectedQueue == 0 ? receive : selectedQueue == 1 ? transmit : nil }
      set {
        guard let newValue else { return }
        if selectedQueue == 0 { receive = newValue }
        if selectedQueue == 1 { transmit = newValue }
      }
    }
  }

  let port: any PCIFunctionPort
  private let configuration: [UInt8]
  /// Held while the pin is driven, so that it follows the registers in order.
  let state = Mutex(State())

  /// - Parameter station: the last two bytes of a MAC address that nobody has assigned.
  public init(port: any PCIFunctionPort, station: UInt16) {
    self.port = port
    configuration = [
      0x02, 0, 0, 0, UInt8(station >> 8), UInt8(station & 0xff), Self.linkUp, 0,
    ]
  }

  public func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    state.withLock { state in
      switch (offset, width) {
      case (Register.deviceFeatures, .dword): UInt64(Self.features)
      case (Register.driverFeatures, .dword): UInt64(state.features)
      case (Register.queuePage, .dword): UInt64(state.queue?.page ?? 0)
      case (Register.queueSize, .word): state.queue == nil ? 0 : UInt64(VirtQueue.size)
      case (Register.queueSelect, .word): UInt64(state.selectedQueue)
      case (Register.deviceStatus, .byte): UInt64(state.status)
      case (Register.interruptStatus, .byte): UInt64(takeInterrupts(&state))
      case (Register.configuration..., _): configuration(at: offset, width)
      default: 0
      }
    }
  }

  public func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    switch (offset, width) {
    case (Register.driverFeatures, .dword):
      state.withLock { $0.features = UInt32(truncatingIfNeeded: value) & Self.features }
    case (Register.queuePage, .dword):
      state.withLock {
        $0.queue = $0.queue.map { _ in VirtQueue(page: UInt32(truncatingIfNeeded: value)) }
      }
    case (Register.queueSelect, .word):
      state.withLock { $0.selectedQueue = Int(value) }
    case (Register.queueNotify, .word):
      if value == 1 { sendFrames() }
    case (Register.deviceStatus, .byte):
      if value == 0 {
        reset()
      } else {
        state.withLock { $0.status = UInt8(truncatingIfNeeded: value) }
      }
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
    if !isEnabled { state.withLock { $0.generation += 1 } }
  }

  private func configuration(at offset: UInt64, _ width: AccessWidth) -> UInt64 {
    let start = Int(offset - Register.configuration)
    return (0..<width.rawValue).reduce(0) { value, i in
      guard start + i < configuration.count else { return value }
      return value | UInt64(configuration[start + i]) << (8 * UInt64(i))
    }
  }

  /// Reading the interrupt status clears it and lowers the line. Call with the lock held.
  private func takeInterrupts(_ state: inout State) -> UInt8 {
    defer {
      state.interrupts = 0
      port.setINTx(asserted: false)
    }
    return state.interrupts
  }
}
