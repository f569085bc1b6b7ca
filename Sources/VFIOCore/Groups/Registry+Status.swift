extension Registry {
  func status(of id: GroupID) -> GroupStatus? {
    guard let group = groups[id], let set = sets[group.set] else { return nil }
    let members = group.devices.sorted { $0.key < $1.key }.map { name, member in
      GroupStatus.Member(
        device: Device(name: name, group: id), isBound: member.data != nil,
        openCount: member.openCount)
    }
    return GroupStatus(
      id: id, members: members, mergedSet: set.groups.sorted(by: Self.inOrder),
      isViable: isViable(set), isTainted: group.isTainted, isOwned: set.use != nil,
      openCount: group.openCount, hasIOMMU: group.hasIOMMU)
  }
}
