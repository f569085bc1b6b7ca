import CPlugin
import DeviceKit
import Synchronization
import SystemPackage

/// A device on the daemon's PCI or platform bus, as the plug-in whose model it is calls it.
///
/// It lives until nothing calls the model any more, which it then has destroyed.
final class ModelDevice: Sendable {
  /// What the model acts on.
  enum Port: Sendable {
    case pci(any PCIFunctionPort)
    case platform(any PlatformDevicePort, interrupts: Int)
  }

  let port: Port
  let copy: PluginDeviceCopy
  private let ops: ModelOps
  private let registry: PluginRegistry
  private let model = Mutex<UInt>(0)

  init(_ port: Port, name: String, ops: ModelOps, registry: PluginRegistry) {
    self.port = port
    self.ops = ops
    self.registry = registry
    let bus = if case .pci = port { "pci" } else { "platform" }
    copy = PluginDeviceCopy(vfio_device(), bus: bus, name: name)
  }

  deinit {
    registry.remove(copy.key)
    let (bits, ops, copy) = (model.withLock { $0 }, ops, copy)
    guard bits != 0, ops.table.destroy != nil else { return }
    // Whoever let go of it last may hold locks.
    after(.zero) {
      // SAFETY: what create gave, which nobody calls any more; the copy lives on.
      withExtendedLifetime(copy) {
        PluginCall.callback { ops.table.destroy?(UnsafeMutableRawPointer(bitPattern: bits)) }
      }
    }
  }

  /// Has the plug-in make its part.
  func create() -> UInt {
    // SAFETY: the copy lives until the model is destroyed.
    let made = PluginCall.callback { ops.table.create?(copy.pointer) }
    let bits = UInt(bitPattern: made)
    model.withLock { $0 = bits }
    return bits
  }

  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
    switch port {
    case .pci(let port): port.after(delay, work)
    case .platform(let port, _): port.after(delay, work)
    }
  }

  var dma: any DMAPort {
    switch port {
    case .pci(let port): port.dma
    case .platform(let port, _): port.dma
    }
  }

  func memory(region: Int) -> (any DeviceMemory)? {
    switch port {
    case .pci(let port): port.memory(bar: region)
    case .platform(let port, _): port.memory(region: region)
    }
  }

  /// - Throws: `EINVAL` for an interrupt that is not there.
  func setInterrupt(_ index: UInt32, _ subindex: UInt32, isHigh: Bool) throws(Errno) {
    switch port {
    case .pci(let port):
      switch index {
      case 0 where subindex == 0: port.setINTx(asserted: isHigh)
      case 1...2 where subindex < 2048: if isHigh { port.sendMSI(vector: Int(subindex)) }
      default: throw .invalidArgument
      }
    case .platform(let port, let interrupts):
      guard index < UInt32(interrupts), subindex == 0 else { throw .invalidArgument }
      port.setInterrupt(Int(index), asserted: isHigh)
    }
  }
}

/// A plug-in's `struct vfio_model_ops`.
///
/// @unchecked: functions of a library that is never unloaded, which says that they may come on any thread.
struct ModelOps: @unchecked Sendable {
  let table: vfio_model_ops

  /// - Throws: `EINVAL` where `read` or `write` is missing.
  init(_ pointer: UnsafePointer<vfio_model_ops>?) throws(Errno) {
    table = try copySized(
      pointer, into: vfio_model_ops(),
      least: MemoryLayout<vfio_model_ops>.offset(of: \.reset) ?? 0)
    if table.read == nil || table.write == nil { throw .invalidArgument }
  }
}

/// A plug-in's model, as the daemon's buses call one.
final class PluginModel: PCIFunctionModel, PlatformDeviceModel {
  private let device: ModelDevice
  private let ops: ModelOps
  /// What the plug-in calls it by; 0 where it did not make one, which is as if nothing answered on the bus.
  private let bits: UInt
  private let hasModel: Bool

  init(_ device: ModelDevice, _ ops: ModelOps) {
    self.device = device
    self.ops = ops
    bits = device.create()
    hasModel = bits != 0 || ops.table.create == nil
  }

  private var pointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: bits) }

  // SAFETY: of all calls below: `pointer` is what create gave, and `device`, which we hold, destroys it.

  // Plug-ins were promised no more than 4 bytes at a time; 8 come as over a bus of 32 bits.

  func read(region: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    guard hasModel, let read = ops.table.read else { return .max }
    return PluginCall.callback { read(pointer, UInt32(region), offset, UInt32(width.rawValue)) }
  }

  func write(region: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard hasModel, let write = ops.table.write else { return }
    PluginCall.callback { write(pointer, UInt32(region), offset, UInt32(width.rawValue), value) }
  }

  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    read(region: bar, offset: offset, width: width)
  }

  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    write(region: bar, offset: offset, width: width, value: value)
  }

  func reset() {
    guard hasModel, let reset = ops.table.reset else { return }
    PluginCall.callback { reset(pointer) }
  }

  func busMasterChanged(isEnabled: Bool) {
    guard hasModel, let busMaster = ops.table.bus_master else { return }
    PluginCall.callback { busMaster(pointer, isEnabled) }
  }

  func stop() {
    busMasterChanged(isEnabled: false)
  }
}
