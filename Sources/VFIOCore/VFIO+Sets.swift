import ClientAccess
import Logging
import SoftIOMMU
import SystemPackage

/// What clients do with sets, whichever ABI they speak.
extension VFIO {
  /// Checks that `caller` may do anything with the group but look at it.
  ///
  /// - Throws: `EPERM` while another address space owns the group's set.
  func checkOwner(of group: GroupID, _ caller: any AddressSpace) throws(Errno) {
    let isForeign = look { $0.isForeign(group, to: caller) }
    if isForeign { throw .notPermitted }
  }

  /// Opens the set's IOMMU once more, for the owner.
  ///
  /// - Throws: `EPERM` to others, `EBUSY` when the set is not viable.
  func openIOMMU(of group: GroupID, for caller: any AddressSpace) throws(Errno) -> IOMMUFile {
    let (set, domain) = try update { registry, aftermath throws(Errno) in
      let own = try registry.usableSet(of: group, for: caller)
      let set = registry.join(own, registry.setToJoin(own, for: caller), &aftermath)
      let domain = registry.openIOMMU(of: set, owner: caller, makeDomain: makeDomain)
      registry.sets[set]?.openCount += 1
      registry.sets[set]?.use?.isHeldByMerge = false
      return (set, domain)
    }
    return IOMMUFile(vfio: self, set: set, domain: domain)
  }

  /// Opens the device that `name` names, of any group of the set.
  ///
  /// - Throws: `EPERM`, `EBUSY` as `openIOMMU`, `ENODEV` when no device matches, and what the device's
  ///   own `open` throws.
  func openDevice(
    _ name: String, of group: GroupID, for caller: any AddressSpace
  ) throws(Errno) -> DeviceFile {
    // Asked outside the lock, so the answer is checked again under it.
    let candidates = try update { registry, _ throws(Errno) in
      let set = try registry.usableSet(of: group, for: caller)
      return [set, registry.setToJoin(set, for: caller)].compactMap(\.self)
        .compactMap { registry.sets[$0] }.flatMap(registry.members)
    }
    var found: Device?
    for (device, member) in candidates where found == nil {
      if try member.ops.match(device, name) { found = device }
    }
    guard let device = found else { throw .operationNotSupportedByDevice }
    let (ops, data) = try update { registry, aftermath throws(Errno) in
      let own = try registry.usableSet(of: group, for: caller)
      let target = registry.setToJoin(own, for: caller)
      guard let its = registry.groups[device.group]?.set, its == own || its == target,
        let member = registry.member(device), let data = member.data
      else { throw .operationNotSupportedByDevice }
      let set = registry.join(own, target, &aftermath)
      registry.openIOMMU(of: set, owner: caller, makeDomain: makeDomain)
      registry.sets[set]?.openCount += 1
      registry.groups[device.group]?.devices[device.name]?.openCount += 1
      return (member.ops, data)
    }
    do throws(Errno) {
      try ops.open(data)
    } catch {
      close(device)
      throw error
    }
    registryUpdate { registry, _ in
      guard let set = registry.groups[device.group]?.set else { return }
      registry.sets[set]?.use?.isHeldByMerge = false
    }
    logger.debug("device opened", metadata: ["device": "\(device)", "group": "\(group)"])
    return DeviceFile(vfio: self, device: device, ops: ops, data: data)
  }

  /// A descriptor of the group is gone.
  func close(_ group: GroupID) {
    registryUpdate { registry, aftermath in
      registry.groups[group]?.openCount -= 1
      if registry.groups[group]?.openCount == 0 { registry.groups[group]?.staysApart = false }
      registry.leaveUnused(group, &aftermath)
      if let set = registry.groups[group]?.set { registry.settle(set, &aftermath) }
    }
  }

  /// A descriptor of the device is gone, and its bus driver knows; or its `open` failed.
  func close(_ device: Device) {
    registryUpdate { registry, aftermath in
      registry.groups[device.group]?.devices[device.name]?.openCount -= 1
      if registry.containerSet(of: device.group) != nil {
        registry.closeContained(device, &aftermath)
      } else if let set = registry.groups[device.group]?.set {
        registry.closeOne(of: set, &aftermath)
      }
    }
  }

  /// A descriptor of the set's IOMMU is gone.
  func close(_ set: SetID) {
    registryUpdate { registry, aftermath in registry.closeOne(of: set, &aftermath) }
  }

  /// Merges the set of `mergee` into the set of `merger`, and opens the IOMMU of the result.
  ///
  /// - Throws: as `Registry.merge`; both sets stay as they were then.
  func merge(_ mergee: GroupID, into merger: GroupID, for caller: any AddressSpace) throws(Errno) {
    try update { registry, aftermath throws(Errno) in
      try registry.merge(
        mergee, into: merger, for: caller, makeDomain: makeDomain, &aftermath)
    }
    logger.debug("groups merged", metadata: ["group": "\(merger)", "mergee": "\(mergee)"])
  }

  /// Takes the group out of its merged set.
  ///
  /// - Throws: as `Registry.unmerge`.
  func unmerge(_ group: GroupID, for caller: any AddressSpace) throws(Errno) {
    try update { registry, aftermath throws(Errno) in
      try registry.unmerge(group, for: caller, &aftermath)
    }
    logger.debug("group unmerged", metadata: ["group": "\(group)"])
  }
}

extension Registry {
  /// Whether the group's set belongs to somebody else than `caller`.
  func isForeign(_ group: GroupID, to caller: any AddressSpace) -> Bool {
    set(of: group)?.use?.owner.map { $0 !== caller } ?? false
  }

  /// The set of `group`, where `caller` may open its IOMMU.
  ///
  /// - Throws: `EPERM` to others than the owner, `EBUSY` when the set is not viable.
  func usableSet(of group: GroupID, for caller: any AddressSpace) throws(Errno) -> SetID {
    if isForeign(group, to: caller) { throw .notPermitted }
    guard let id = groups[group]?.set, let set = sets[id] else {
      throw .operationNotSupportedByDevice
    }
    guard isViable(set) else { throw .resourceBusy }
    return id
  }
}
