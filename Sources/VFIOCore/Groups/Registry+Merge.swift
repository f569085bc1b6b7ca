import ClientAccess
import SoftIOMMU
import SystemPackage

extension Registry {
  /// Moves the set of `mergee` into that of `merger`, whose IOMMU is opened where nobody has it open.
  ///
  /// - Throws: `EPERM` to others than an owner; `EINVAL` for groups of one set or of two buses, a mergee in
  ///   use and groups that the platform cannot merge; `EBUSY` when either set is not viable.
  mutating func merge(
    _ mergee: GroupID, into merger: GroupID, for caller: any AddressSpace,
    makeDomain: () -> SoftIOMMU, _ aftermath: inout Aftermath
  ) throws(Errno) {
    if isForeign(merger, to: caller) { throw .notPermitted }
    guard merger.bus == mergee.bus, let target = groups[merger]?.set,
      let source = groups[mergee]?.set, source != target,
      let into = sets[target], let added = sets[source], added.openCount == 0
    else { throw .invalidArgument }
    if isForeign(mergee, to: caller) { throw .notPermitted }
    guard isViable(into), isViable(added) else { throw .resourceBusy }
    guard merging.allows(into.groups.union(added.groups)) else { throw .invalidArgument }
    absorb(source, into: target, &aftermath)
    if into.use == nil {
      openIOMMU(of: target, owner: caller, makeDomain: makeDomain)
      sets[target]?.use?.isHeldByMerge = true
    }
    attachMembers(of: target)
    // Whoever asked may have closed everything meanwhile.
    settle(target, &aftermath)
  }

  /// Takes `group` out of its merged set, into one of its own.
  ///
  /// - Throws: `EPERM` to others than the owner, `EINVAL` when the group is not merged, `EBUSY` while a
  ///   device of it is open.
  mutating func unmerge(
    _ group: GroupID, for caller: any AddressSpace, _ aftermath: inout Aftermath
  ) throws(Errno) {
    if isForeign(group, to: caller) { throw .notPermitted }
    guard let leaving = groups[group], let set = sets[leaving.set], set.groups.count > 1 else {
      throw .invalidArgument
    }
    if leaving.devices.values.contains(where: { $0.openCount > 0 }) { throw .resourceBusy }
    if let use = set.use {
      for member in leaving.devices.values { aftermath.detached.append((member.port, use.domain)) }
    }
    sets[leaving.set]?.groups.remove(group)
    let own = makeSet(of: [group])
    groups[group]?.staysApart = true
    release([group], &aftermath)
    settle(own, &aftermath)
    settle(leaving.set, &aftermath)
  }

  /// The set in use that `set`, which is not, is to join before `caller` uses it.
  ///
  /// - Returns: nil where groups are merged on request only, or nothing of the caller's suits.
  func setToJoin(_ set: SetID, for caller: any AddressSpace) -> SetID? {
    guard merging.isAutomatic, let joining = sets[set], joining.use == nil, isViable(joining),
      let bus = joining.groups.first?.bus,
      !joining.groups.contains(where: { groups[$0]?.staysApart ?? false })
    else { return nil }
    let suiting = sets.filter { _, other in
      other.use?.owner === caller && other.groups.first?.bus == bus && isViable(other)
        && merging.allows(other.groups.union(joining.groups))
    }
    return suiting.keys.min { $0.rawValue < $1.rawValue }
  }

  /// Moves `set`, which is not in use, into the set in use that `setToJoin` found, if any.
  ///
  /// - Returns: the set that its groups are in now.
  mutating func join(
    _ set: SetID, _ target: SetID?, _ aftermath: inout Aftermath
  ) -> SetID {
    guard let target else { return set }
    absorb(set, into: target, &aftermath)
    attachMembers(of: target)
    return target
  }

  /// Moves the groups of `source`, which has no descriptors open, into `target`.
  private mutating func absorb(
    _ source: SetID, into target: SetID, _ aftermath: inout Aftermath
  ) {
    closeIOMMU(of: source, &aftermath)
    guard let moved = sets.removeValue(forKey: source) else { return }
    sets[target]?.groups.formUnion(moved.groups)
    for group in moved.groups { groups[group]?.set = target }
  }
}
