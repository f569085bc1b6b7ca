import ClientAccess
import SoftIOMMU

/// A number for each merged set, never used twice.
struct SetID: Hashable, Sendable {
  var rawValue: UInt64
}

/// The groups, their sets and their devices: values that change under the registry lock and have no
/// effect of their own; what a change entails outside goes into an `Aftermath`.
///
/// Every group is in exactly one set, alone unless it was merged.
struct Registry {
  struct Group {
    var set: SetID
    /// The number of its node, its own while it is there.
    var minor: UInt32
    var devices: [String: Member] = [:]
    /// Whether an IOMMU stands between its device and memory.
    var hasIOMMU = true
    /// Open descriptors of the group itself.
    var openCount = 0
    /// A device came into the group while it was in use, and was not claimed.
    var isTainted = false
    /// Which ABI its files were opened by, the last of them where it is idle.
    var abi = ABI.draft2011
    /// A client took it out of a merged set: while it is open it joins none by itself.
    var staysApart = false
  }

  struct Member {
    var ops: any DeviceOps
    var port: DomainPort
    /// Set while the device is bound.
    var data: DeviceData?
    /// Open descriptors.
    var openCount = 0
    /// An unbind that waits for the set to fall out of use.
    var unbind: PendingUnbind?
    /// Goes as soon as it is unbound.
    var isDeleted = false
    /// A driver of the host has it.
    var hasHostDriver = false
  }

  /// One call of `unbindDevice`.
  final class PendingUnbind: Sendable {
    let completion: @Sendable (DeviceData) -> Void

    init(_ completion: @escaping @Sendable (DeviceData) -> Void) {
      self.completion = completion
    }
  }

  struct MergedSet {
    var groups: Set<GroupID>
    /// Open IOMMU and device descriptors.
    var openCount = 0
    /// What the set's IOMMU has while it is open.
    var use: Use?
    /// The container of today's API that the set is.
    var container: ContainerID?
  }

  /// An open IOMMU: who owns it and its mappings.
  struct Use {
    /// Nil for a container's: its descriptors serve whoever has them.
    var owner: (any AddressSpace)?
    var domain: SoftIOMMU
    /// A merge opened it, and nobody has had a descriptor since: it stays without one.
    var isHeldByMerge = false
  }

  var merging: Merging
  private(set) var minors = MinorNumbers()
  /// How many groups a bus has, for those that have any.
  private(set) var buses: [String: Int] = [:]
  var groups: [GroupID: Group] = [:]
  var sets: [SetID: MergedSet] = [:]
  var containers: [ContainerID: Container] = [:]
  var containersMade: UInt64 = 0
  /// The module parameter `enable_unsafe_noiommu_mode`.
  var allowsNoIOMMU = false
  typealias Observer = @Sendable (GroupEvent) -> Void
  var subscribers: [Subscriber] = []
  /// Whether some thread is delivering.
  var isDelivering = false
  private var setsMade: UInt64 = 0

  init(merging: Merging = Merging()) {
    self.merging = merging
  }

  /// Makes a group, alone in its set.
  mutating func addGroup(_ id: GroupID, hasIOMMU: Bool) {
    groups[id] = Group(set: SetID(rawValue: 0), minor: minors.take(), hasIOMMU: hasIOMMU)
    buses[id.bus, default: 0] += 1
    _ = makeSet(of: [id])
    post(.appeared(id))
  }

  private mutating func removeGroup(_ id: GroupID) {
    guard let group = groups.removeValue(forKey: id) else { return }
    minors.giveBack(group.minor)
    let left = (buses[id.bus] ?? 1) - 1
    buses[id.bus] = left > 0 ? left : nil
    post(.vanished(id))
  }

  /// Makes a set of `groups` and puts them into it.
  mutating func makeSet(of groups: Set<GroupID>) -> SetID {
    setsMade += 1
    let id = SetID(rawValue: setsMade)
    sets[id] = MergedSet(groups: groups)
    for group in groups { self.groups[group]?.set = id }
    return id
  }

  mutating func post(_ event: GroupEvent) {
    for index in subscribers.indices { subscribers[index].post(event) }
  }

  /// The next event that somebody has not been told of, and whom to tell.
  mutating func takeEvent() -> (GroupEvent, Observer)? {
    for index in subscribers.indices {
      if let event = subscribers[index].take() { return (event, subscribers[index].observer) }
    }
    return nil
  }

  func set(of group: GroupID) -> MergedSet? {
    groups[group].flatMap { sets[$0.set] }
  }

  func member(_ device: Device) -> Member? {
    groups[device.group]?.devices[device.name]
  }

  /// Every device of every group is bound, and no group is tainted.
  func isViable(_ set: MergedSet) -> Bool {
    set.groups.allSatisfy { id in
      guard let group = groups[id] else { return true }
      return !group.isTainted && group.devices.values.allSatisfy { $0.data != nil }
    }
  }

  /// Everything of the set's groups: devices, in the order of groups and names.
  func members(of set: MergedSet) -> [(device: Device, member: Member)] {
    set.groups.sorted(by: Self.inOrder).flatMap { id in
      (groups[id]?.devices ?? [:]).sorted { $0.key < $1.key }
        .map { (Device(name: $0.key, group: id), $0.value) }
    }
  }

  static func inOrder(_ a: GroupID, _ b: GroupID) -> Bool {
    (a.bus, a.number) < (b.bus, b.number)
  }

  /// The domain of the set's IOMMU, which is opened for `owner` where nobody has it open.
  ///
  /// - Parameter makeDomain: gives a new domain; called at most once.
  @discardableResult
  mutating func openIOMMU(
    of set: SetID, owner: (any AddressSpace)?, makeDomain: () -> SoftIOMMU
  ) -> SoftIOMMU {
    if let use = sets[set]?.use { return use.domain }
    let domain = makeDomain()
    sets[set]?.use = Use(owner: owner, domain: domain)
    attachMembers(of: set)
    return domain
  }

  /// Attaches every device of the set to its domain.
  func attachMembers(of set: SetID) {
    guard let set = sets[set], let use = set.use else { return }
    for (_, member) in members(of: set) { member.port.attach(to: use.domain) }
  }

  /// An IOMMU or device descriptor of the set is gone, or one never came to be.
  mutating func closeOne(of set: SetID, _ aftermath: inout Aftermath) {
    sets[set]?.openCount -= 1
    guard let now = sets[set], now.openCount == 0 else { return }
    if now.use?.isHeldByMerge == false { closeIOMMU(of: set, &aftermath) }
    release(now.groups, &aftermath)
    settle(set, &aftermath)
  }

  /// Nobody uses the groups any more: taints go, and unbinds that waited for it are carried out.
  mutating func release(_ released: Set<GroupID>, _ aftermath: inout Aftermath) {
    for id in released.sorted(by: Self.inOrder) {
      groups[id]?.isTainted = false
      for (name, member) in groups[id]?.devices ?? [:] {
        guard let completion = member.unbind?.completion, let data = member.data else { continue }
        aftermath.unbound.append((completion, data))
        unbind(Device(name: name, group: id), &aftermath)
      }
    }
  }

  /// Takes the device from its bus driver, and out of the registry where that was asked before.
  mutating func unbind(_ device: Device, _ aftermath: inout Aftermath) {
    groups[device.group]?.devices[device.name]?.data = nil
    groups[device.group]?.devices[device.name]?.unbind = nil
    if member(device)?.isDeleted == true { remove(device, &aftermath) }
  }

  mutating func remove(_ device: Device, _ aftermath: inout Aftermath) {
    guard let member = groups[device.group]?.devices.removeValue(forKey: device.name) else {
      return
    }
    if let use = set(of: device.group)?.use {
      aftermath.detached.append((member.port, use.domain))
    }
    if let set = groups[device.group]?.set { settle(set, &aftermath) }
  }

  mutating func closeIOMMU(of set: SetID, _ aftermath: inout Aftermath) {
    guard let now = sets[set], let use = now.use else { return }
    for (_, member) in members(of: now) {
      aftermath.detached.append((member.port, use.domain))
    }
    aftermath.tornDown.append(use.domain)
    sets[set]?.use = nil
  }

  /// Brings the set in line with what of it is open; called after every change that takes something away.
  ///
  /// A set without descriptors has no owner unless it is a merged one that somebody has a group of open.
  /// One that nobody has any part open of dissolves. A group without devices that nobody has open goes.
  mutating func settle(_ set: SetID, _ aftermath: inout Aftermath) {
    guard let now = sets[set] else { return }
    let groupsOpen = now.groups.contains { (groups[$0]?.openCount ?? 0) > 0 }
    if now.openCount == 0, now.container == nil {
      if now.groups.count == 1 || !groupsOpen { closeIOMMU(of: set, &aftermath) }
      if now.groups.count > 1, !groupsOpen {
        sets[set] = nil
        for group in now.groups.sorted(by: Self.inOrder) {
          settle(makeSet(of: [group]), &aftermath)
        }
        return
      }
    }
    let empty = now.groups.sorted(by: Self.inOrder).first { id in
      groups[id].map { $0.devices.isEmpty && $0.openCount == 0 } ?? true
    }
    // The last group of a set in use stays until the set falls out of use.
    guard let empty, now.openCount == 0 || now.groups.count > 1 else { return }
    removeGroup(empty)
    sets[set]?.groups.remove(empty)
    if now.groups.count == 1 {
      sets[set] = nil
    } else {
      settle(set, &aftermath)
    }
  }
}
