/// A change in what groups there are.
public enum GroupEvent: Hashable, Sendable {
  /// The group has its first device: it gets a node.
  case appeared(GroupID)
  /// The group's last device is out and nobody has it open: its node goes.
  case vanished(GroupID)
}

/// What people see of a group.
public struct GroupStatus: Hashable, Sendable {
  public struct Member: Hashable, Sendable {
    public var device: Device
    /// Whether the VFIO bus driver has it.
    public var isBound: Bool
    /// How many descriptors of it are open.
    public var openCount: Int
  }

  public var id: GroupID
  /// In the order of their names.
  public var members: [Member]
  /// The groups merged with this one, itself among them, in order.
  public var mergedSet: [GroupID]
  public var isViable: Bool
  public var isTainted: Bool
  /// Whether an address space owns the set.
  public var isOwned: Bool
  /// How many descriptors of the group itself are open.
  public var openCount: Int
  /// Whether an IOMMU stands between its device and memory.
  public var hasIOMMU: Bool

  /// The name of its node of the draft API; nil for a group without an IOMMU, which that API does not know.
  public var draftName: String? { hasIOMMU ? id.description : nil }

  /// The name of its node of today's API, which has no place for the bus; nil while it has none, for that
  /// takes a device that vfio has.
  public var mainlineName: String? {
    guard members.contains(where: \.isBound), id.bus == PCIBus.name else { return nil }
    return hasIOMMU ? "\(id.number)" : id.noIOMMUName
  }
}
