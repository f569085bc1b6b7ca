public import DeviceKit
import Synchronization

/// What the host sees of single functions and steers, as through sysfs.
extension PCIBus {
  /// - Returns: nil when there is no function at `address`.
  public func function(at address: PCIAddress) -> FunctionStatus? {
    state.withLock { $0.slots[address]?.status(address) }
  }

  /// The addresses of all functions, in order.
  public var addresses: [PCIAddress] {
    state.withLock { $0.slots.keys.sorted() }
  }

  /// The addresses of the functions on one bus, in no order.
  public func addresses(on bus: PCIBusAddress) -> [PCIAddress] {
    state.withLock { $0.slots.keys.filter { $0.busAddress == bus } }
  }

  /// The kind of the function at `address`, for plugging in the same again.
  public func kind(at address: PCIAddress) -> PCIFunctionKind? {
    state.withLock { $0.slots[address]?.function.kind }
  }

  /// The function's configuration space as it is now: 256 bytes, 4096 of one of PCI Express.
  ///
  /// BARs hold where the platform put them: vfio-pci virtualises what a client writes there.
  ///
  /// - Returns: nil when there is no function at `address`.
  public func config(at address: PCIAddress) -> [UInt8]? {
    state.withLock { $0.slots[address]?.function }?.hostConfig()
  }

  /// Keeps the function for the driver called `name`; nil lets any driver have it again. Who has it now
  /// stays.
  ///
  /// - Throws: `ENODEV` when there is no function.
  public func setDriverOverride(_ name: String?, at address: PCIAddress) throws(PCIBusError) {
    try state.withLock { state throws(PCIBusError) in
      _ = try Self.slot(state, address)
      state.slots[address]?.driverOverride = name
    }
  }

  /// Takes back an unbind, and a removal, of this very binding.
  fileprivate func cancelUnbind(_ address: PCIAddress, _ data: PCIDeviceData) -> Bool {
    // The core knows which binding waits. One that is given back to vfio is here as it was before.
    let device = state.withLock { $0.slots[address]?.device }
    guard let device, vfio.cancelUnbind(device, data: data) else { return false }
    state.withLock { state in
      state.slots[address]?.isUnbinding = false
      state.slots[address]?.isRemoved = false
    }
    return true
  }
}

/// A function's wait for its group to fall out of use, after which vfio lets go of it.
public struct UnbindWait: Sendable {
  private let bus: PCIBus?
  private let address: PCIAddress?
  private let data: PCIDeviceData?

  /// Nothing to wait for.
  init() {
    (bus, address, data) = (nil, nil, nil)
  }

  init(bus: PCIBus, address: PCIAddress, data: PCIDeviceData?) {
    (self.bus, self.address, self.data) = (bus, address, data)
  }

  /// Gives up waiting: vfio keeps the function, and a removal is forgotten.
  ///
  /// - Returns: false when there was nothing to wait for any more. The completion has been called then, or is
  ///   about to be; else it will not be called.
  @discardableResult
  public func cancel() -> Bool {
    guard let bus, let address, let data else { return false }
    return bus.cancelUnbind(address, data)
  }
}
