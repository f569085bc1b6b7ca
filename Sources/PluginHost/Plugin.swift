import CPlugin
import DeviceKit
import Logging
import Synchronization
import SystemPackage
import VFIOABI
import VFIOCore

/// A plug-in that was loaded, and what it may do.
///
/// It lives as long as the program: the plug-in has its address.
final class Plugin: Sendable {
  let registry = PluginRegistry()
  let vfio: VFIO
  let scheduler: any Scheduler
  let logger: Logger
  private let state = Mutex(State())

  private struct State {
    /// Whether init runs.
    var isStarting = true
    /// What init logged as errors.
    var errors: [String] = []
    var pciKinds: [PCIFunctionKind] = []
    var platformKinds: [PlatformDeviceKind] = []
  }

  init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    self.vfio = vfio
    self.scheduler = scheduler
    self.logger = logger
  }

  /// What came of init: the models, and what it logged as errors.
  func started() -> (pci: [PCIFunctionKind], platform: [PlatformDeviceKind], errors: [String]) {
    state.withLock { state in
      state.isStarting = false
      return (state.pciKinds, state.platformKinds, state.errors)
    }
  }

  // MARK: - The bus driver API

  func addDevice(
    _ pointer: UnsafeMutablePointer<vfio_device>?, _ ops: UnsafePointer<vfio_device_ops>?
  ) throws(Errno) {
    guard let pointer else { throw .invalidArgument }
    let table = try copySized(
      ops, into: vfio_device_ops(), least: MemoryLayout<vfio_device_ops>.offset(of: \.claim) ?? 0)
    let device = try PluginDevice(pointer, logger: logger)
    // Before the core has it: claim may come before addDevice returns.
    try registry.add(device)
    var logger = logger
    logger[metadataKey: "device"] = "\(device.device)"
    do throws(Errno) {
      try vfio.addDevice(
        device.device, ops: PluginOps(table, of: device, logger: logger), port: device.port)
    } catch {
      registry.remove(device)
      throw error
    }
  }

  func deleteDevice(_ device: PluginDevice) throws(Errno) {
    let isGone = try device.life.withLock { life throws(Errno) in
      if life.isDeleted { throw .operationNotSupportedByDevice }
      life.isDeleted = true
      vfio.deleteDevice(device.device)
      return !life.isBound
    }
    if isGone { registry.remove(device) }
  }

  func bindDevice(_ device: PluginDevice, _ data: UnsafeMutableRawPointer?) throws(Errno) {
    guard let data else { throw .invalidArgument }
    let pluginData = PluginData(data, of: device)
    try device.life.withLock { life throws(Errno) in
      if life.isDeleted { throw .operationNotSupportedByDevice }
      if life.isBound { throw .resourceBusy }
      try vfio.bindDevice(device.device, data: pluginData)
      life.isBound = true
    }
  }

  /// Waits until the device's group is out of use.
  func unbindDevice(_ device: PluginDevice) throws(Errno) -> UnsafeMutableRawPointer? {
    try PluginCall.checkMayWait()
    try device.life.withLock { life throws(Errno) in
      guard life.isBound else { throw .invalidArgument }
      if life.isUnbinding { throw .resourceBusy }
      life.isUnbinding = true
    }
    let unbind = PluginUnbind()
    do throws(Errno) {
      try vfio.unbindDevice(device.device) { data in
        let isGone = device.life.withLock { life in
          (life.isBound, life.isUnbinding) = (false, false)
          return life.isDeleted
        }
        if isGone { self.registry.remove(device) }
        unbind.complete((data as? PluginData)?.bits ?? 0)
      }
    } catch {
      device.life.withLock { $0.isUnbinding = false }
      throw error
    }
    return UnsafeMutableRawPointer(bitPattern: unbind.wait())
  }

  // MARK: - Models

  func register(_ pointer: UnsafePointer<vfio_pci_model>?) throws(Errno) {
    let kind = try PluginKinds.pci(pointer, registry)
    try register(kind.name) { $0.pciKinds.append(kind) }
  }

  func register(_ pointer: UnsafePointer<vfio_platform_model>?) throws(Errno) {
    let kind = try PluginKinds.platform(pointer, registry)
    try register(kind.name) { $0.platformKinds.append(kind) }
  }

  private func register(_ name: String, _ add: (inout State) -> Void) throws(Errno) {
    try state.withLock { state throws(Errno) in
      if !state.isStarting { throw .resourceBusy }
      let names = state.pciKinds.map(\.name) + state.platformKinds.map(\.name)
      if names.contains(name) { throw .fileExists }
      add(&state)
    }
  }

  // MARK: - What devices do

  private static let transferLimit = 1 << 30

  func dmaPort(of pointer: UnsafeRawPointer?) throws(Errno) -> any DMAPort {
    try PluginCall.checkMayWait()
    switch try registry.find(pointer) {
    case .bus(let device): return device.port
    case .model(let device): return device.dma
    }
  }

  /// - Throws: `EINVAL` for a null pointer to something, and for more than 1 GiB.
  static func checkBuffer(_ pointer: UnsafeRawPointer?, _ count: Int) throws(Errno) {
    // A size_t beyond Int comes as a negative number.
    guard (0...transferLimit).contains(count), pointer != nil || count == 0 else {
      throw .invalidArgument
    }
  }

  /// The memory of a region that is RAM.
  ///
  /// - Throws: `EINVAL` where it is not, and for an access that is not all inside.
  func memory(
    of pointer: UnsafeRawPointer?, region: UInt32, _ offset: UInt64, _ count: Int
  ) throws(Errno) -> any DeviceMemory {
    let memory: (any DeviceMemory)? =
      switch try registry.find(pointer) {
      case .bus(let device): device.memory?.windows[Int(region)]
      case .model(let device): device.memory(region: Int(region))
      }
    guard let memory, offset <= UInt64(memory.count), count <= memory.count - Int(offset) else {
      throw .invalidArgument
    }
    return memory
  }

  func setInterrupt(
    _ pointer: UnsafeRawPointer?, _ index: UInt32, _ subindex: UInt32, isHigh: Bool
  ) throws(Errno) {
    switch try registry.find(pointer) {
    case .bus(let device):
      try device.interrupts.set(Int(index), Int(subindex), asserted: isHigh)
    case .model(let device):
      try device.setInterrupt(index, subindex, isHigh: isHigh)
    }
  }

  /// - Parameter work: a function and its argument, of which the plug-in promises that any thread may call it.
  func after(
    _ pointer: UnsafeRawPointer?, nanoseconds: UInt64, _ work: PluginWork
  ) throws(Errno) {
    let device: PluginRegistry.Found? = pointer == nil ? nil : try registry.find(pointer)
    let delay = Duration.nanoseconds(Int64(clamping: nanoseconds))
    scheduler.after(delay) {
      withExtendedLifetime(device) { work.run() }
    }
  }

  func log(_ level: UInt32, _ text: String) {
    switch vfio_log_level(level) {
    case VFIO_LOG_ERROR:
      // In init it may be why there will be no daemon to have a log.
      let isKept = state.withLock { state in
        if state.isStarting { state.errors.append(text) }
        return state.isStarting
      }
      if !isKept { logger.error("\(text)") }
    case VFIO_LOG_WARNING: logger.warning("\(text)")
    case VFIO_LOG_DEBUG: logger.debug("\(text)")
    default: logger.notice("\(text)")
    }
  }
}

/// A function of a plug-in with its argument.
///
/// @unchecked: the plug-in says that it may be called on any thread.
struct PluginWork: @unchecked Sendable {
  let function: @convention(c) (UnsafeMutableRawPointer?) -> Void
  let argument: UnsafeMutableRawPointer?

  func run() {
    // SAFETY: the plug-in's function with the plug-in's argument, once.
    function(argument)
  }
}
