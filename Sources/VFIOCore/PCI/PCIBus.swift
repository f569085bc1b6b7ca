public import DeviceKit
public import Logging
import SystemPackage

/// The emulated PCI bus with its bus driver vfio-pci, written on the core's bus driver API alone.
///
/// Functions and bridges come and go at any time. Each function is taken by vfio, by a host driver (of which nothing but its name
/// exists, and which keeps a group from being viable) or by nobody. Calls come from any thread.
public final class PCIBus: Sendable {
  /// The bus's name in group ids.
  public static let name = "pci"

  public typealias Driver = BusDriver
  public typealias Departure = VFIOCore.Departure

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

  typealias Slot = BusSlot<PCIFunction>

  struct State: BusState {
    var slots: [PCIAddress: Slot] = [:]
    var bridges: [PCIAddress: BridgeSlot] = [:]
    /// What was removed and is still plugged in.
    var unscanned = Unscanned()
    var hostDrivers: Set<String> = []
    var layout = PCIAddressSpaceLayout()
    var sharedMemories = PCISharedMemories()
  }

  let devices: BusDevices<State>
  private let scheduler: any Scheduler
  private let logger: Logger

  /// - Parameter scheduler: runs the models' delayed work.
  public init(vfio: VFIO, scheduler: any Scheduler, logger: Logger) {
    devices = BusDevices(State(), vfio: vfio)
    self.scheduler = scheduler
    self.logger = logger
  }

  /// All functions, in the order of their addresses.
  public var functions: [FunctionStatus] {
    devices.all.map { $0.slot.status($0.address) }
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
  ) throws(BusError) {
    if let flaw = kind.description.flaw {
      throw BusError(.invalidArgument, "\(kind.name) at \(address) is no PCI function: \(flaw)")
    }
    let device = Device(
      name: "\(address)", group: GroupID(bus: Self.name, number: group))
    var logger = logger
    logger[metadataKey: "device"] = "\(address)"
    let memory = try memory(of: kind, at: address)
    let barAddresses = devices.withLock {
      $0.layout.place(kind.description, on: address.busAddress)
    }
    let function = PCIFunction(
      address: address, kind: kind, barAddresses: barAddresses, memory: memory,
      scheduler: scheduler, logger: logger,
      neighbours: { [weak self] in self?.addresses(on: address.busAddress) ?? [] })
    do throws(BusError) {
      try enumerate(
        Slot(function, device: device, hasIOMMU: hasIOMMU, initialDriver: driver), at: address)
    } catch {
      devices.withLock {
        $0.layout.release(barAddresses, of: kind.description, on: address.busAddress)
      }
      throw error
    }
    try devices.bindInitially(address)
  }

  /// Makes a function that is plugged in known, to vfio as well.
  func enumerate(_ slot: Slot, at address: PCIAddress) throws(BusError) {
    let mainline = MainlinePCIOps { [weak self] in self?.busReset(of: $0) }
    try devices.enumerate(slot, at: address, mainline: mainline)
  }

  /// Lets a driver take a function that nobody has.
  ///
  /// - Throws: `ENODEV` when there is no function, `EBUSY` when a driver has it, or a driver of the host
  ///   wants it and its group is in use.
  public func bind(_ address: PCIAddress, to driver: Driver) throws(BusError) {
    try devices.bind(address, to: driver)
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
  ) throws(BusError) -> UnbindWait {
    try devices.unbind(address, from: driver, completion: completion)
  }
}

extension BusSlot<PCIFunction> {
  var function: PCIFunction { hardware }

  func status(_ address: PCIAddress) -> PCIBus.FunctionStatus {
    PCIBus.FunctionStatus(
      address: address, kind: function.kind.name, description: function.kind.description,
      group: device.group, driver: driver, initialDriver: initialDriver,
      driverOverride: driverOverride, barAddresses: function.barAddresses,
      isUnbinding: isUnbinding)
  }
}
