/// A model of one platform device: what stands behind its memory regions.
///
/// The rules of `PCIFunctionModel` hold: calls come from any thread, may come at the same time, and none may
/// wait; work that takes time goes through `PlatformDevicePort.after`.
public protocol PlatformDeviceModel: AnyObject, Sendable {
  /// Reads `width` bytes at `offset` of a region; `offset` is a multiple of the width and inside the region.
  /// Bits of the value above the width are ignored.
  func read(region: Int, offset: UInt64, width: AccessWidth) -> UInt64

  /// Writes `width` bytes at `offset` of a region; `offset` is a multiple of the width and inside the region.
  /// Bits of `value` above the width are 0.
  func write(region: Int, offset: UInt64, width: AccessWidth, value: UInt64)

  /// Puts every register back to its power-on value, lowers the interrupts and stops what runs: a transfer
  /// or a delay under way has no effect any more.
  func reset()

  /// Nobody uses the device any more. What is under way may not reach the memory of its next user.
  func stop()
}

extension PlatformDeviceModel {
  /// For models that start nothing of their own.
  public func stop() {}
}

/// What a platform device model acts on: the device's wires.
///
/// Calls never wait and never call the model back, so that a model may make them with its own lock held;
/// all but transfers through `dma`.
public protocol PlatformDevicePort: AnyObject, Sendable {
  /// Memory, as the device reaches it.
  ///
  /// Transfers wait for client memory: only from work given to `after`, with no lock held.
  var dma: any DMAPort { get }

  /// The memory of a region that is RAM, nil for other regions.
  func memory(region: Int) -> (any DeviceMemory)?

  /// Drives the wire of interrupt `index`. A level stays as it is until the next call; an edge is the wire
  /// going from low to high.
  func setInterrupt(_ index: Int, asserted: Bool)

  /// Runs `work` once on another thread, no earlier than `delay` from now. `work` may wait for client memory.
  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void)

  /// Tells people that a driver did something the device refuses, in one sentence without a full stop.
  func report(_ sentence: String)
}

/// What a platform device is made of, as a device tree's node says: `reg` and `interrupts`.
public struct PlatformDeviceDescription: Hashable, Sendable {
  public struct Region: Hashable, Sendable {
    /// Bytes, at most 2^40; 0 for a region that is not there.
    public var size: UInt64
    public var isReadOnly: Bool
    /// Plain memory: the bus keeps the bytes, clients can map them where they are whole pages, and the model
    /// sees no access. Reach it through `PlatformDevicePort.memory`.
    public var isRAM: Bool

    public init(size: UInt64, isReadOnly: Bool = false, isRAM: Bool = false) {
      self.size = size
      self.isReadOnly = isReadOnly
      self.isRAM = isRAM
    }
  }

  public enum Interrupt: Hashable, Sendable {
    case level
    case edge
  }

  public var regions: [Region]
  public var interrupts: [Interrupt]
  /// Whether the device can be reset by itself.
  public var hasReset: Bool

  public init(regions: [Region], interrupts: [Interrupt] = [], hasReset: Bool = true) {
    self.regions = regions
    self.interrupts = interrupts
    self.hasReset = hasReset
  }
}

/// A kind of platform device that a topology can name.
public struct PlatformDeviceKind: Sendable {
  /// The name in a topology file: `pl081`.
  public var name: String
  public var description: PlatformDeviceDescription
  public var make: @Sendable (_ port: any PlatformDevicePort) -> any PlatformDeviceModel

  public init(
    name: String, description: PlatformDeviceDescription,
    make: @escaping @Sendable (_ port: any PlatformDevicePort) -> any PlatformDeviceModel
  ) {
    self.name = name
    self.description = description
    self.make = make
  }
}
