public import DeviceKit
public import Logging
import Synchronization
import SystemPackage

/// The emulated PCI bus with its bus driver vfio-pci, written on the core's bus driver API alone.
///
/// Functions and bridges come and go at any time. Each function is taken by vfio, by a host driver (of which nothing but its name
/// exists, and which keeps a group from being viable) or by nobody. Calls come from any thread.
public final class PCIBus: Sendable {
  /// The bus's name in group ids.
  public static let name = "pci"

  /// Who has a function.
  public enum Driver: Hashable, Sendable {
    case none
    case vfio
    /// A driver of the host, by its name.
    case host(String)
  }

  /// What people see of a function.
  public struct FunctionStatus: Sendable {
    public var address: PCIAddress
    /// The name of the kind: `edu`.
    public var kind: String
    public var description: PCIFunctionDescription
    public var group: GroupID
    public var driver: Driver
    /// The driver that it was plugged in for.
    public var initialDriver: Driver
    /// The only driver that may take it, by name; nil where any may. For those who choose drivers: the
    /// bus itself binds to whatever driver it is told.
    public var driverOverride: String?
    /// Where the platform put the BARs, by number; none for one that no room was left for.
    public var barAddresses: [Int: UInt64]
    /// Waits for its group to fall out of use, to be unbound.
    public var isUnbinding: Bool
  }

  struct Slot {
    var function: PCIFunction
    var device: Device
    var hasIOMMU = true
    var initialDriver: Driver
    var driverOverride: String?
    var driver = Driver.none
    /// What vfio has of it while it is bound there.
    var data: PCIDeviceData?
    var isUnbinding = false
    /// Vfio is being told of it, or that it is bound: nobody else may change it meanwhile.
    var isInTransit = true
    /// How it goes as soon as it is unbound; nil while it stays.
    var departure: Departure?

    func status(_ address: PCIAddress) -> FunctionStatus {
      FunctionStatus(
        address: address, kind: function.kind.name, description: function.kind.description,
        group: device.group, driver: driver, initialDriver: initialDriver,
        driverOverride: driverOverride, barAddresses: function.barAddresses,
        isUnbinding: isUnbinding)
    }
  }

  /// What becomes of something that is removed.
  public enum Departure: Sendable {
    /// It is unplugged.
    case forGood
    /// The hardware stays, for `rescan` to find.
    case untilRescan
  }

  struct State {
    var slots: [PCIAddress: Slot] = [:]
    var bridges: [PCIAddress: BridgeSlot] = [:]
    /// What was removed and is still plugged in.
    var unscanned = Unscanned()
    /// Those of the host, by name.
    var hostDrivers: Set<String> = []
    var layout = PCIAddressSpaceLayout()
    var sharedMemories = PCISharedMemories()
  }

  let vfio: VFIO
  private let scheduler: any Scheduler
  private let logger: Logger
  let state = Mutex(State())

  /// - Parameter scheduler: runs the models' delayed work.
  public init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    self.vfio = vfio
    self.scheduler = scheduler
    self.logger = logger
  }

  /// All functions, in the order of their addresses.
  public var functions: [FunctionStatus] {
    state.withLock { state in
      state.slots.sorted { $0.key < $1.key }.map { address, slot in slot.status(address) }
    }
  }

  /// Plugs a function in and lets `driver` take it.
  ///
  /// In a group that is in use, vfio claims the function, whatever `driver` says.
  ///
  /// - Parameters:
  ///   - group: the number of its IOMMU group.
  ///   - hasIOMMU: as `VFIO.addDevice` has it.
  /// - Throws: `EEXIST` when the address is taken, `EBUSY` behind a bridge that is being removed, `EINVAL` for a
  ///   kind whose description makes no sense.
  public func add(
    address: PCIAddress, kind: PCIFunctionKind, group: UInt32, hasIOMMU: Bool = true,
    driver: Driver
  ) throws(PCIBusError) {
    if let flaw = kind.description.flaw {
      throw PCIBusError(.invalidArgument, "\(kind.name) at \(address) is no PCI function: \(flaw)")
    }
    let device = Device(
      name: "\(address)", group: GroupID(bus: Self.name, number: group))
    var logger = logger
    logger[metadataKey: "device"] = "\(address)"
    let memory = try memory(of: kind, at: address)
    let barAddresses = state.withLock { $0.layout.place(kind.description) }
    let function = PCIFunction(
      address: address, kind: kind, barAddresses: barAddresses, memory: memory,
      scheduler: scheduler, logger: logger,
      isAlone: { [weak self] in self?.addresses(on: address.busAddress).count == 1 })
    do throws(PCIBusError) {
      try enumerate(
        Slot(function: function, device: device, hasIOMMU: hasIOMMU, initialDriver: driver),
        at: address)
    } catch {
      state.withLock { $0.layout.release(barAddresses, of: kind.description) }
      throw error
    }
    // The claim may have bound it already.
    let isTaken = state.withLock { $0.slots[address]?.driver != Driver.none }
    guard driver != .none, !isTaken else { return }
    do throws(PCIBusError) {
      try bind(address, to: driver)
    } catch {
      // Somebody was quicker, or its group is in use and the claim failed: nobody has it then.
      if error.errno != .resourceBusy { throw error }
    }
  }

  /// Makes a function that is plugged in known, to vfio as well.
  func enumerate(_ slot: Slot, at address: PCIAddress) throws(PCIBusError) {
    try state.withLock { state throws(PCIBusError) in
      try state.checkRoom(at: address)
      state.slots[address] = slot
      state.slots[address]?.isInTransit = true
      if case .host(let name) = slot.initialDriver { state.hostDrivers.insert(name) }
    }
    let mainline = MainlinePCIOps { [weak self] in self?.busReset(of: $0) }
    let ops = PCIOps(mainline: mainline) { [weak self] device throws(Errno) in
      try self?.claim(device)
    }
    do throws(Errno) {
      try vfio.addDevice(
        slot.device, ops: ops, port: slot.function.pins.domainPort, hasIOMMU: slot.hasIOMMU)
    } catch {
      state.withLock { $0.slots[address] = nil }
      throw PCIBusError(error, "vfio did not take \(address): \(error)")
    }
    state.withLock { $0.slots[address]?.isInTransit = false }
  }

  /// Removes one function, after vfio has let go of it.
  func removeFunction(
    _ address: PCIAddress, _ departure: Departure, _ completion: @escaping @Sendable () -> Void
  ) throws(PCIBusError) -> UnbindWait {
    let slot = try state.withLock { state throws(PCIBusError) in
      let slot = try Self.slot(state, address)
      if slot.departure != nil || slot.isUnbinding || slot.isInTransit {
        throw PCIBusError(.resourceBusy, "\(address) is on its way into vfio or out of it already")
      }
      state.slots[address]?.departure = departure
      return slot
    }
    vfio.deleteDevice(slot.device)
    if slot.driver == .vfio { return try unbind(address, completion: completion) }
    state.withLock { $0.departed(address) }
    completion()
    return UnbindWait()
  }

  /// Lets a driver take a function that nobody has.
  ///
  /// - Throws: `ENODEV` when there is no function, `EBUSY` when a driver has it, or a driver of the host
  ///   wants it and its group is in use.
  public func bind(_ address: PCIAddress, to driver: Driver) throws(PCIBusError) {
    try bind(address, to: driver, isClaim: false)
  }

  private func bind(
    _ address: PCIAddress, to driver: Driver, isClaim: Bool
  ) throws(PCIBusError) {
    let (device, data) = try state.withLock { state throws(PCIBusError) in
      let slot = try Self.slot(state, address)
      guard slot.driver == .none, slot.departure == nil, slot.isInTransit == isClaim else {
        throw PCIBusError(.resourceBusy, "\(address) has a driver or is about to")
      }
      state.slots[address]?.isInTransit = driver != .none
      let data = PCIDeviceData(slot.function)
      state.slots[address]?.driver = driver
      if case .host(let name) = driver { state.hostDrivers.insert(name) }
      if driver == .vfio { state.slots[address]?.data = data }
      return (slot.device, data)
    }
    defer { state.withLock { $0.slots[address]?.isInTransit = false } }
    do throws(Errno) {
      switch driver {
      case .none: break
      case .vfio: try vfio.bindDevice(device, data: data)
      case .host: try vfio.hostTakes(device)
      }
    } catch {
      state.withLock { state in
        state.slots[address]?.driver = .none
        state.slots[address]?.data = nil
      }
      throw PCIBusError(error, "vfio did not bind \(address) or leave it to \(driver): \(error)")
    }
  }

  /// Takes a function from its driver; from vfio when its group is not in use any more.
  ///
  /// - Parameters:
  ///   - driver: who must have it; nil for whoever has.
  ///   - completion: called exactly once, when nobody has the function; never after the wait was taken back.
  /// - Returns: the wait for vfio, which can be taken back until the function is unbound.
  /// - Throws: `ENODEV` when there is no function or `driver` does not have it, `EBUSY` when it is being
  ///   unbound.
  @discardableResult
  public func unbind(
    _ address: PCIAddress, from driver: Driver? = nil,
    completion: @escaping @Sendable () -> Void = {}
  ) throws(PCIBusError) -> UnbindWait {
    let slot = try state.withLock { state throws(PCIBusError) in
      let slot = try Self.slot(state, address)
      if slot.driver == .none {
        throw PCIBusError(.operationNotSupportedByDevice, "\(address) has no driver")
      }
      if let driver, slot.driver != driver {
        throw PCIBusError(.operationNotSupportedByDevice, "another driver has \(address)")
      }
      if slot.isUnbinding || slot.isInTransit {
        throw PCIBusError(.resourceBusy, "\(address) is being bound or unbound already")
      }
      if slot.driver == .vfio {
        state.slots[address]?.isUnbinding = true
      } else {
        state.slots[address]?.driver = .none
        state.slots[address]?.isInTransit = true
      }
      return slot
    }
    guard slot.driver == .vfio else {
      vfio.hostLeaves(slot.device)
      state.withLock { $0.slots[address]?.isInTransit = false }
      completion()
      return UnbindWait()
    }
    do throws(Errno) {
      try vfio.unbindDevice(slot.device) { [weak self] _ in
        self?.unbound(address)
        completion()
      }
    } catch {
      state.withLock { $0.slots[address]?.isUnbinding = false }
      throw PCIBusError(error, "vfio did not let go of \(address): \(error)")
    }
    return UnbindWait(bus: self, address: address, data: slot.data)
  }

  private func unbound(_ address: PCIAddress) {
    state.withLock { state in
      state.slots[address]?.driver = .none
      state.slots[address]?.data = nil
      state.slots[address]?.isUnbinding = false
      if state.slots[address]?.departure != nil { state.departed(address) }
    }
  }

  /// A function came into a group in use: vfio takes it, and nobody else can have got it before.
  private func claim(_ device: Device) throws(Errno) {
    let address = state.withLock { state in
      state.slots.first { $0.value.device == device }?.key
    }
    guard let address else { throw .operationNotSupportedByDevice }
    do throws(PCIBusError) {
      try bind(address, to: .vfio, isClaim: true)
    } catch {
      throw error.errno
    }
  }

  static func slot(
    _ state: borrowing State, _ address: PCIAddress
  ) throws(PCIBusError) -> Slot {
    guard let slot = state.slots[address] else {
      throw PCIBusError(.operationNotSupportedByDevice, "there is no function at \(address)")
    }
    return slot
  }
}
