import ClientAccess
import Logging
import SoftIOMMU
public import SystemPackage

/// What clients of today's API do with containers and groups.
extension VFIO {
  /// Opens `/dev/vfio/vfio`: a container of its own each time.
  public func openContainer() -> any VFIOFile {
    let container = registryUpdate { registry, _ in registry.makeContainer() }
    return ContainerFile(vfio: self, id: container)
  }

  /// Opens a group's node of today's API, which one file at a time can have open.
  ///
  /// - Throws: `ENODEV` when there is no such group or vfio has none of its devices, `EPERM` to a client without
  ///   `CAP_SYS_RAWIO` when it has no IOMMU, `EBUSY` while anything of it is in use.
  public func openMainlineGroup(
    _ id: GroupID, by client: some Client
  ) throws(Errno) -> any VFIOFile {
    let mayUse = try mayUse(id, client)
    try update { registry, _ throws(Errno) in
      let isBound = registry.groups[id]?.devices.values.contains { $0.data != nil }
      guard isBound == true else { throw .operationNotSupportedByDevice }
      if !mayUse { throw .notPermitted }
      guard registry.isIdle(id) else { throw .resourceBusy }
      registry.groups[id]?.openCount = 1
      registry.groups[id]?.abi = .mainline
    }
    logger.debug("group opened", metadata: ["group": "\(id)", "abi": "mainline"])
    return MainlineGroupFile(vfio: self, id: id)
  }

  /// The parameter `enable_unsafe_noiommu_mode` of the kernel's module: whether devices without an IOMMU can be
  /// bound. Who has one already keeps it.
  public var allowsNoIOMMU: Bool {
    get { look { $0.allowsNoIOMMU } }
    set { registryUpdate { registry, _ in registry.allowsNoIOMMU = newValue } }
  }

  /// Whether any device has no IOMMU.
  public var hasNoIOMMUGroups: Bool {
    look { $0.groups.values.contains { !$0.hasIOMMU } }
  }

  /// Whether the client may use the group. A device without an IOMMU reaches all memory, so only who might anyway
  /// may have it.
  private func mayUse(_ group: GroupID, _ client: some Client) throws(Errno) -> Bool {
    let hasIOMMU = look { $0.groups[group]?.hasIOMMU }
    return hasIOMMU == false ? try client.hasRawIO() : true
  }

  /// - Throws: `EPERM` to a client without `CAP_SYS_RAWIO` when the group has no IOMMU; as `Registry.attach`.
  func attach(
    _ group: GroupID, to container: ContainerID, by client: some Client
  ) throws(Errno) {
    let mayUse = try mayUse(group, client)
    try update { registry, _ throws(Errno) in
      try registry.attach(group, to: container, mayUse: mayUse)
    }
    logger.debug("group in a container", metadata: ["group": "\(group)"])
  }

  /// - Throws: `EINVAL` when the group has no container, `EBUSY` while a device of it is open.
  func detach(_ group: GroupID) throws(Errno) {
    try update { registry, aftermath throws(Errno) in
      guard registry.containerSet(of: group) != nil else { throw .invalidArgument }
      let isOpen = registry.groups[group]?.devices.values.contains { $0.openCount > 0 }
      if isOpen == true { throw .resourceBusy }
      registry.detach(group, &aftermath)
    }
    logger.debug("group out of its container", metadata: ["group": "\(group)"])
  }

  /// Gives the container an IOMMU.
  ///
  /// - Throws: `EINVAL` when no group is in it or it has one.
  func setIOMMU(_ rules: MappingRules, of container: ContainerID) throws(Errno) {
    try update { registry, _ throws(Errno) in
      guard let set = registry.containers[container]?.set, registry.sets[set]?.use == nil else {
        throw .invalidArgument
      }
      registry.openIOMMU(of: set, owner: nil) { makeDomain(rules: rules) }
    }
  }

  func state(of container: ContainerID) -> ContainerState {
    look { registry in
      let set = registry.containers[container]?.set
      return ContainerState(
        isWithoutIOMMU: registry.isWithoutIOMMU(container), allowsNoIOMMU: registry.allowsNoIOMMU,
        domain: set.flatMap { registry.sets[$0]?.use?.domain })
    }
  }

  func close(_ container: ContainerID) {
    registryUpdate { registry, _ in registry.close(container) }
  }

  /// Opens the device of the group that `name` names.
  ///
  /// - Throws: `ENODEV` when none matches and what the bus driver says of the name; then `EINVAL` when the
  ///   group's container has no IOMMU; `EPERM` to a client without `CAP_SYS_RAWIO` when the group has none; then what
  ///   the device's own `open` throws.
  func openMainlineDevice(
    _ name: String, of group: GroupID, by client: some Client
  ) throws(Errno) -> DeviceFile {
    // Asked outside the lock, so the answer is checked again under it.
    let candidates = look { registry in
      (registry.groups[group]?.devices ?? [:]).filter { $0.value.data != nil }
        .sorted { $0.key < $1.key }
    }
    var found: (device: Device, ops: any DeviceOps)?
    for (deviceName, member) in candidates where found == nil {
      let device = Device(name: deviceName, group: group)
      guard let ops = member.ops.mainline else { continue }
      if try ops.match(device, name) { found = (device, ops) }
    }
    guard let (device, ops) = found else { throw .operationNotSupportedByDevice }
    let mayUse = try mayUse(group, client)
    let data = try update { registry, _ throws(Errno) in
      guard let data = registry.member(device)?.data else { throw .operationNotSupportedByDevice }
      guard let set = registry.groups[group]?.set, registry.sets[set]?.container != nil,
        registry.sets[set]?.use != nil
      else { throw .invalidArgument }
      if !mayUse { throw .notPermitted }
      registry.sets[set]?.openCount += 1
      registry.groups[group]?.devices[device.name]?.openCount += 1
      return data
    }
    do throws(Errno) {
      try ops.open(data)
    } catch {
      close(device)
      throw error
    }
    logger.debug("device opened", metadata: ["device": "\(device)", "group": "\(group)"])
    return DeviceFile(vfio: self, device: device, ops: ops, data: data, abi: .mainline)
  }
}
