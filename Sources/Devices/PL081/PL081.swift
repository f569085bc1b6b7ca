public import DeviceKit
import Synchronization

/// ARM's PrimeCell single master DMA controller PL081 (ARM DDI 0218E): two channels that move memory to
/// memory, with linked lists, and interrupts for the end of a transfer and for errors.
///
/// It has 32 bits of address. No peripheral is wired to it: channels that wait for one's request wait for
/// good. Registers take 32-bit accesses; others read as 0 and write nothing.
public final class PL081: PlatformDeviceModel {
  public static let kind = PlatformDeviceKind(
    name: "pl081",
    description: PlatformDeviceDescription(
      regions: [.init(size: 4096)], interrupts: [.level, .level, .level]),
    make: { PL081(port: $0) })

  /// The wires.
  enum Interrupt: Int, CaseIterable {
    /// DMACINTR, either of the others.
    case combined
    /// DMACINTTC, the end of a transfer.
    case terminalCount
    /// DMACINTERR
    case error
  }

  enum Register {
    static let interruptStatus: UInt64 = 0x000
    static let terminalCountStatus: UInt64 = 0x004
    static let terminalCountClear: UInt64 = 0x008
    static let errorStatus: UInt64 = 0x00c
    static let errorClear: UInt64 = 0x010
    static let rawTerminalCountStatus: UInt64 = 0x014
    static let rawErrorStatus: UInt64 = 0x018
    static let enabledChannels: UInt64 = 0x01c
    static let configuration: UInt64 = 0x030
    static let synchronization: UInt64 = 0x034
    static let channels: UInt64 = 0x100
    static let channelSize: UInt64 = 0x20
    static let identification: UInt64 = 0xfe0
  }

  static let channelCount = 2
  /// The peripheral's and the PrimeCell's identification, a byte in each word.
  private static let identification: [UInt8] = [0x81, 0x10, 0x04, 0x0a, 0x0d, 0xf0, 0x05, 0xb1]
  static let enable: UInt32 = 1 << 0

  struct State {
    var configuration: UInt32 = 0
    var synchronization: UInt32 = 0
    /// A bit for each channel.
    var rawTerminalCounts: UInt32 = 0
    var rawErrors: UInt32 = 0
    var channels = Array(repeating: PL081Channel(), count: PL081.channelCount)
    /// A transfer moves bytes or is about to. It outlives a reset: there is one engine, and a client whose
    /// memory never answers can have no more than that wait.
    var isMoving = false

    var terminalCounts: UInt32 { rawTerminalCounts & mask(PL081Channel.terminalCountMask) }
    var errors: UInt32 { rawErrors & mask(PL081Channel.errorMask) }

    /// A bit for each channel that has `bit` set in its configuration.
    func mask(_ bit: UInt32) -> UInt32 {
      channels.enumerated().reduce(0) { mask, channel in
        mask | (channel.element.configuration & bit != 0 ? 1 << channel.offset : 0)
      }
    }
  }

  let port: any PlatformDevicePort
  /// Held while the wires are driven, so that they follow the registers in order.
  let state = Mutex(State())

  public init(port: any PlatformDevicePort) {
    self.port = port
  }

  public func read(region: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    guard width == .dword else { return 0 }
    return state.withLock { state in
      let value: UInt32
      switch offset {
      case Register.interruptStatus: value = state.terminalCounts | state.errors
      case Register.terminalCountStatus: value = state.terminalCounts
      case Register.errorStatus: value = state.errors
      case Register.rawTerminalCountStatus: value = state.rawTerminalCounts
      case Register.rawErrorStatus: value = state.rawErrors
      case Register.enabledChannels: value = state.mask(PL081Channel.enable)
      case Register.configuration: value = state.configuration
      case Register.synchronization: value = state.synchronization
      case Register.identification...:
        value = UInt32(Self.identification[Int(offset - Register.identification) / 4])
      default: value = Self.channel(offset).map { state.channels[$0].read($1) } ?? 0
      }
      return UInt64(value)
    }
  }

  public func write(region: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard width == .dword else { return }
    let word = UInt32(truncatingIfNeeded: value)
    let mustRun = state.withLock { state in
      switch offset {
      case Register.terminalCountClear: state.rawTerminalCounts &= ~word
      case Register.errorClear: state.rawErrors &= ~word
      case Register.configuration:
        state.configuration = word & 0x3
        if word & Self.enable == 0 {
          for channel in state.channels.indices { state.channels[channel].disable() }
        }
      case Register.synchronization: state.synchronization = word & 0xffff
      default:
        guard let (channel, register) = Self.channel(offset) else { return false }
        state.channels[channel].write(register, word)
      }
      drive(state)
      return state.startsMoving()
    }
    if mustRun { port.after(Self.duration) { [weak self] in self?.move() } }
  }

  public func reset() {
    state.withLock { state in
      var fresh = State()
      for channel in fresh.channels.indices {
        fresh.channels[channel].generation = state.channels[channel].generation + 1
      }
      fresh.isMoving = state.isMoving
      state = fresh
      drive(state)
    }
  }

  public func stop() {
    state.withLock { state in
      for channel in state.channels.indices { state.channels[channel].disable() }
    }
  }

  /// Sets the wires as the registers are. Call with the lock held.
  func drive(_ state: borrowing State) {
    let (ends, errors) = (state.terminalCounts != 0, state.errors != 0)
    port.setInterrupt(Interrupt.terminalCount.rawValue, asserted: ends)
    port.setInterrupt(Interrupt.error.rawValue, asserted: errors)
    port.setInterrupt(Interrupt.combined.rawValue, asserted: ends || errors)
  }

  private static func channel(_ offset: UInt64) -> (channel: Int, register: UInt64)? {
    guard offset >= Register.channels,
      offset < Register.channels + Register.channelSize * UInt64(channelCount)
    else { return nil }
    let place = offset - Register.channels
    return (Int(place / Register.channelSize), place % Register.channelSize)
  }
}

extension PL081Channel {
  fileprivate func read(_ register: UInt64) -> UInt32 {
    switch register {
    case 0x00: source
    case 0x04: destination
    case 0x08: list
    case 0x0c: control
    case 0x10: configuration
    default: 0
    }
  }

  fileprivate mutating func write(_ register: UInt64, _ word: UInt32) {
    switch register {
    case 0x00: source = word
    case 0x04: destination = word
    case 0x08: list = word & ~0x3
    case 0x0c: control = word
    case 0x10:
      if word & Self.enable == 0 { disable() }
      configuration = word & Self.writableConfiguration
    default: break
    }
  }
}
