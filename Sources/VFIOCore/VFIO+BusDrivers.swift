import Logging
public import SoftIOMMU
public import SystemPackage

/// The document's "VFIO bus driver API".
extension VFIO {
  /// Adds a device to its group, which it makes where there is none: `vfio_group_add_dev`.
  ///
  /// Where the group is in use, its bus driver has to claim the device before this returns; the
  /// group serves nobody until the device is bound, and is tainted where it is not.
  ///
  /// - Parameter port: the device's way to memory; the core attaches it to the domain of whoever uses the group.
  /// - Parameter hasIOMMU: whether an IOMMU stands before the device. Without one its group is its own.
  /// - Throws: `EEXIST` when the bus has a device of that name, `EINVAL` for another device in a group where one of
  ///   them is without an IOMMU.
  public func addDevice(
    _ device: Device, ops: any DeviceOps, port: DomainPort = DomainPort(), hasIOMMU: Bool = true
  ) throws(Errno) {
    let mustClaim = try update { registry, _ throws(Errno) in
      let isKnown = registry.groups.contains { id, group in
        id.bus == device.group.bus && group.devices[device.name] != nil
      }
      if isKnown { throw .fileExists }
      if let group = registry.groups[device.group] {
        guard hasIOMMU, group.hasIOMMU else { throw .invalidArgument }
      } else {
        registry.addGroup(device.group, hasIOMMU: hasIOMMU)
      }
      registry.groups[device.group]?.devices[device.name] = .init(ops: ops, port: port)
      guard let set = registry.set(of: device.group) else { return false }
      if let use = set.use { port.attach(to: use.domain) }
      return set.openCount > 0 && set.container == nil
    }
    logger.info("device added", metadata: metadata(device))
    if mustClaim { claim(device, ops) }
  }

  private func claim(_ device: Device, _ ops: any DeviceOps) {
    var reason = "its bus driver left it unbound"
    do throws(Errno) {
      try ops.claim(device)
    } catch {
      reason = "\(error)"
    }
    let isTainted = registryUpdate { registry, _ in
      guard let member = registry.member(device), member.data == nil,
        let set = registry.set(of: device.group), set.openCount > 0
      else { return false }
      registry.groups[device.group]?.isTainted = true
      return true
    }
    if isTainted {
      logger.warning(
        "group tainted: a device came into it while it was in use and was not claimed",
        metadata: metadata(device).merging(["reason": "\(reason)"]) { $1 })
    }
  }

  /// Takes a device out of its group: `vfio_group_del_dev`. One that is bound goes after its unbind.
  public func deleteDevice(_ device: Device) {
    registryUpdate { registry, aftermath in
      guard let member = registry.member(device) else { return }
      if member.data == nil {
        registry.remove(device, &aftermath)
      } else {
        registry.groups[device.group]?.devices[device.name]?.isDeleted = true
      }
    }
    logger.info("device deleted", metadata: metadata(device))
  }

  /// Marks a device as controlled by its VFIO bus driver: `vfio_bind_dev`.
  ///
  /// - Parameter data: handed to each operation on the device, and back by `unbindDevice`.
  /// - Throws: `EINVAL` when the device was never added, or has no IOMMU and may not be used so; `EBUSY` when it is
  ///   bound.
  public func bindDevice(_ device: Device, data: DeviceData) throws(Errno) {
    try update { registry, _ throws(Errno) in
      guard let member = registry.member(device) else { throw .invalidArgument }
      if member.data != nil { throw .resourceBusy }
      guard registry.groups[device.group]?.hasIOMMU == true || registry.allowsNoIOMMU else {
        throw .invalidArgument
      }
      registry.groups[device.group]?.devices[device.name]?.data = data
    }
    logger.info("device bound", metadata: metadata(device))
  }

  /// Takes a device from its VFIO bus driver: `vfio_unbind_dev`.
  ///
  /// Where the kernel's blocks while the IOMMU of the device's set is in use, this one returns at once and
  /// holds no thread; until then the device stays as it was and can be opened again.
  ///
  /// - Parameter completion: takes the data back; called exactly once with no lock held, on this thread when
  ///   the set is not in use, else on the one that closes its last descriptor.
  /// - Throws: `EINVAL` when the device is not bound, `EBUSY` when it is being unbound already; the
  ///   completion is not called then.
  public func unbindDevice(
    _ device: Device, completion: @escaping @Sendable (DeviceData) -> Void
  ) throws(Errno) {
    let unbind = Registry.PendingUnbind(completion)
    try update { registry, aftermath throws(Errno) in
      guard let member = registry.member(device), let data = member.data else {
        throw .invalidArgument
      }
      if member.unbind != nil { throw .resourceBusy }
      let set = registry.set(of: device.group)
      // In a container it is the device alone that has to be let go.
      let isUsed = set?.container == nil ? set?.openCount ?? 0 > 0 : member.openCount > 0
      if isUsed {
        registry.groups[device.group]?.devices[device.name]?.unbind = unbind
      } else {
        registry.unbind(device, &aftermath)
        aftermath.unbound.append((completion, data))
      }
    }
    logger.info("device unbinding", metadata: metadata(device))
    requestBack(device, for: unbind)
  }

  /// Asks the client that has the device for it, again and again while this unbind waits.
  private func requestBack(_ device: Device, for unbind: Registry.PendingUnbind) {
    let waiting = look { registry -> (any DeviceOps, DeviceData)? in
      guard let member = registry.member(device), member.unbind === unbind, let data = member.data,
        let ops = member.ops.mainline, registry.containerSet(of: device.group) != nil
      else { return nil }
      return (ops, data)
    }
    guard let (ops, data) = waiting else { return }
    ops.request(data)
    drains?.after(.seconds(10)) { [weak self] in self?.requestBack(device, for: unbind) }
  }

  /// Takes back an unbind that waits, and a deletion with it: the device stays bound.
  ///
  /// The kernel's `vfio_unbind_dev` cannot be interrupted; whoever waits here may go away.
  ///
  /// - Parameter data: what the device was bound with; another binding's unbind is left alone.
  /// - Returns: false when no such unbind waits. The completion of one taken back is not called.
  public func cancelUnbind(_ device: Device, data: DeviceData) -> Bool {
    let isCancelled = registryUpdate { registry, _ in
      guard let member = registry.member(device), member.data === data, member.unbind != nil else {
        return false
      }
      registry.groups[device.group]?.devices[device.name]?.unbind = nil
      registry.groups[device.group]?.devices[device.name]?.isDeleted = false
      return true
    }
    if isCancelled { logger.info("unbind taken back", metadata: metadata(device)) }
    return isCancelled
  }

  /// A driver of the host takes the device, which by today's rules alone makes its group unsafe for clients.
  ///
  /// - Throws: `ENODEV` when the device was never added, `EBUSY` when vfio has it or its group is in use, which
  ///   stays whole.
  public func hostTakes(_ device: Device) throws(Errno) {
    try update { registry, _ throws(Errno) in
      guard let member = registry.member(device), let set = registry.set(of: device.group) else {
        throw .operationNotSupportedByDevice
      }
      guard set.openCount == 0, set.container == nil, member.data == nil else {
        throw .resourceBusy
      }
      registry.groups[device.group]?.devices[device.name]?.hasHostDriver = true
    }
  }

  /// The driver of the host has let go of the device.
  public func hostLeaves(_ device: Device) {
    registryUpdate { registry, _ in
      registry.groups[device.group]?.devices[device.name]?.hasHostDriver = false
    }
  }

  private func metadata(_ device: Device) -> Logger.Metadata {
    ["device": "\(device)", "group": "\(device.group)"]
  }
}
