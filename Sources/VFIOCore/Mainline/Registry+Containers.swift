import SoftIOMMU
import SystemPackage

/// A number for each container, never used twice.
struct ContainerID: Hashable, Sendable {
  var rawValue: UInt64
}

/// A container of today's API is a merged set: `SET_CONTAINER` puts a group's set into the container's.
///
/// What differs is when things end. The draft's IOMMU lasts as long as a descriptor of it; a container's as
/// long as a group is in it, and a group is as long as its file or one of its devices is open.
extension Registry {
  struct Container {
    /// Nil while no group is in it.
    var set: SetID?
    /// Whether its file is open. The groups in it do not mind.
    var isOpen = true
  }

  mutating func makeContainer() -> ContainerID {
    containersMade += 1
    let id = ContainerID(rawValue: containersMade)
    containers[id] = Container()
    return id
  }

  mutating func close(_ container: ContainerID) {
    containers[container]?.isOpen = false
    if containers[container]?.set == nil { containers[container] = nil }
  }

  /// Whether nobody has any part of the group, by whatever ABI.
  func isIdle(_ group: GroupID) -> Bool {
    guard groups[group]?.openCount == 0, let set = set(of: group) else { return false }
    return set.openCount == 0 && set.use == nil && set.container == nil && set.groups.count == 1
  }

  /// Whether the groups in the container are without an IOMMU; nil while there is none.
  func isWithoutIOMMU(_ container: ContainerID) -> Bool? {
    let set = containers[container]?.set.flatMap { sets[$0] }
    return set?.groups.first.flatMap { groups[$0] }.map { !$0.hasIOMMU }
  }

  /// Whether no driver of the host has a device of the group; devices without any driver do not matter.
  func isSafe(_ group: GroupID) -> Bool {
    groups[group]?.devices.values.allSatisfy { !$0.hasHostDriver } ?? true
  }

  /// The set that is the container of `group`, nil where it has none.
  func containerSet(of group: GroupID) -> MergedSet? {
    set(of: group).flatMap { $0.container == nil ? nil : $0 }
  }

  /// - Parameter mayUse: whether whoever asks has the rights for such a group.
  /// - Throws: `EINVAL` when the group has a container, `EPERM` without the rights, while a driver of the host has one of its
  ///   devices, and where the container's groups have an IOMMU and this one has none, or the other way round.
  mutating func attach(
    _ group: GroupID, to container: ContainerID, mayUse: Bool
  ) throws(Errno) {
    guard let own = groups[group]?.set, sets[own]?.container == nil, containers[container] != nil
    else { throw .invalidArgument }
    let isOther = isWithoutIOMMU(container).map { $0 != (groups[group]?.hasIOMMU == false) }
    guard mayUse, isOther != true, isSafe(group) else { throw .notPermitted }
    guard let target = containers[container]?.set else {
      containers[container]?.set = own
      sets[own]?.container = container
      return
    }
    sets[own] = nil
    sets[target]?.groups.insert(group)
    groups[group]?.set = target
    attachMembers(of: target)
  }

  /// Takes the group, none of whose devices is open, out of its container. With the last group go the
  /// container's IOMMU and its mappings.
  mutating func detach(_ group: GroupID, _ aftermath: inout Aftermath) {
    guard let set = groups[group]?.set, let now = sets[set], let container = now.container else {
      return
    }
    if now.groups.count > 1 {
      if let use = now.use {
        for member in groups[group]?.devices.values ?? [:].values {
          aftermath.detached.append((member.port, use.domain))
        }
      }
      sets[set]?.groups.remove(group)
      settle(makeSet(of: [group]), &aftermath)
    } else {
      closeIOMMU(of: set, &aftermath)
      sets[set]?.container = nil
      containers[container]?.set = nil
      if containers[container]?.isOpen == false { containers[container] = nil }
    }
    settle(set, &aftermath)
  }

  /// Takes the group out of its container once neither its file nor a device of it is open.
  mutating func leaveUnused(_ group: GroupID, _ aftermath: inout Aftermath) {
    guard let now = groups[group], now.openCount == 0,
      now.devices.values.allSatisfy({ $0.openCount == 0 })
    else { return }
    detach(group, &aftermath)
  }

  /// A device descriptor of a group in a container is gone. An unbind waits for the device alone.
  mutating func closeContained(_ device: Device, _ aftermath: inout Aftermath) {
    guard let set = groups[device.group]?.set else { return }
    sets[set]?.openCount -= 1
    if let member = member(device), member.openCount == 0, let data = member.data,
      let completion = member.unbind?.completion
    {
      aftermath.unbound.append((completion, data))
      unbind(device, &aftermath)
    }
    leaveUnused(device.group, &aftermath)
  }
}
