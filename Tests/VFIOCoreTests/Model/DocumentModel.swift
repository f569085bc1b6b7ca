import SystemPackage
import VFIOCore

/// The rules of the document about groups, as plainly as they can be said: no counters and no caches, everything
/// is looked up in what there is. Knows nothing of how the core does it.
struct DocumentModel {
  typealias Group = VFIOCore.GroupID
  /// A user: an address space.
  typealias User = Int

  struct Device {
    var name: String
    var group: Group
    var isBound = false
    /// Asked to be unbound: its bus driver is waiting.
    var unbindWaits = false
    /// Goes with its unbind.
    var isDeleted = false
  }

  /// What an open descriptor is of, however many copies of it there are.
  enum File: Hashable {
    case group(Group)
    case iommu(set: Int)
    case device(String)
  }

  struct Page: Equatable {
    var user: User
    var vaddr: UInt64
    var isReadable: Bool
  }

  /// One or more groups that share an IOMMU object.
  struct MergedSet {
    var groups: Set<Group>
    var owner: User?
    /// It has an owner by a merge alone: nobody has had a descriptor.
    var isOwnedByMerge = false
    var mappings: [UInt64: Page] = [:]
  }

  let merging: Merging
  var devices: [String: Device] = [:]
  var sets: [Int: MergedSet] = [:]
  var files: [Int: File] = [:]
  var tainted: Set<Group> = []
  /// Taken out of a set by their users, who still have them open.
  var apart: Set<Group> = []
  var unbindsCarriedOut = 0
  private var setsMade = 0

  init(merging: Merging) {
    self.merging = merging
  }

  // MARK: - Looking

  func set(of group: Group) -> Int? { sets.first { $0.value.groups.contains(group) }?.key }

  func groups(of set: Int) -> Set<Group> { sets[set]?.groups ?? [] }

  func group(of file: File) -> Group? { if case .group(let group) = file { group } else { nil } }

  func opens(_ file: File) -> Int { files.values.count { $0 == file } }

  /// "Open device or iommu file descriptors".
  func isInUse(_ set: Int) -> Bool {
    files.values.contains { file in
      switch file {
      case .group: false
      case .iommu(let its): its == set
      case .device(let name): devices[name].map { groups(of: set).contains($0.group) } ?? false
      }
    }
  }

  /// "All devices within the group controlled by VFIO."
  func isViable(_ set: Int) -> Bool {
    let groups = groups(of: set)
    return devices.values.allSatisfy { !groups.contains($0.group) || $0.isBound }
      && groups.isDisjoint(with: tainted)
  }

  func isForeign(_ set: Int, to user: User) -> Bool {
    sets[set]?.owner.map { $0 != user } ?? false
  }

  func canMerge(_ groups: Set<Group>) -> Bool {
    switch merging.policy {
    case .never: false
    case .any: true
    case .similar:
      groups.isSubset(of: merging.noncoherent) || groups.isDisjoint(with: merging.noncoherent)
    }
  }

  // MARK: - Group descriptors

  /// Whether `user` may have a descriptor of the IOMMU or of a device, and of which set.
  private func usable(_ group: Group, _ user: User) throws(Errno) -> Int {
    guard let set = set(of: group) else { throw .operationNotSupportedByDevice }
    if isForeign(set, to: user) { throw .notPermitted }
    if !isViable(set) { throw .resourceBusy }
    return set
  }

  mutating func getIOMMU(_ file: Int, _ group: Group, _ user: User) throws(Errno) {
    var set = try usable(group, user)
    if let other = setToJoin(set, user) {
      join(set, other)
      set = other
    }
    sets[set]?.owner = user
    sets[set]?.isOwnedByMerge = false
    files[file] = .iommu(set: set)
  }

  /// A name is looked up: the device must be there, in the set or in the one that it is about to join.
  func lookUp(_ name: String, _ group: Group, _ user: User) throws(Errno) {
    let set = try usable(group, user)
    let join = setToJoin(set, user)
    guard let its = devices[name].flatMap({ self.set(of: $0.group) }), its == set || its == join
    else { throw .operationNotSupportedByDevice }
  }

  /// The device opens: from here on it is in use.
  mutating func beginOpen(
    _ file: Int, _ name: String, _ group: Group, _ user: User
  ) throws(Errno) {
    try lookUp(name, group, user)
    var set = try usable(group, user)
    if let other = setToJoin(set, user) {
      join(set, other)
      set = other
    }
    sets[set]?.owner = user
    files[file] = .device(name)
  }

  mutating func endOpen(_ file: Int, failed: Bool) {
    guard case .device(let name)? = files[file] else { return }
    if failed {
      close(file)
    } else if let set = devices[name].flatMap({ set(of: $0.group) }) {
      sets[set]?.isOwnedByMerge = false
    }
  }

  mutating func merge(_ merger: Group, _ mergee: File, _ user: User) throws(Errno) {
    guard let target = set(of: merger) else { throw .invalidArgument }
    if isForeign(target, to: user) { throw .notPermitted }
    guard let other = group(of: mergee), let source = set(of: other), source != target,
      other.bus == merger.bus, !isInUse(source)
    else { throw .invalidArgument }
    if isForeign(source, to: user) { throw .notPermitted }
    if !isViable(target) || !isViable(source) { throw .resourceBusy }
    if !canMerge(groups(of: target).union(groups(of: source))) { throw .invalidArgument }
    join(source, target)
    if sets[target]?.owner == nil {
      sets[target]?.owner = user
      sets[target]?.isOwnedByMerge = true
    }
    settle()
  }

  mutating func unmerge(_ group: Group, _ user: User) throws(Errno) {
    guard let set = set(of: group) else { throw .invalidArgument }
    if isForeign(set, to: user) { throw .notPermitted }
    if groups(of: set).count == 1 { throw .invalidArgument }
    let isOpen = files.values.contains { file in
      if case .device(let name) = file { devices[name]?.group == group } else { false }
    }
    if isOpen { throw .resourceBusy }
    sets[set]?.groups.remove(group)
    makeSet([group])
    apart.insert(group)
    settle()
  }

  // MARK: - Automatic merging

  /// The oldest set that the user has, which the group may join.
  private func setToJoin(_ set: Int, _ user: User) -> Int? {
    guard merging.isAutomatic, sets[set]?.owner == nil, groups(of: set).isDisjoint(with: apart)
    else { return nil }
    return sets.keys.sorted().first { other in
      sets[other]?.owner == user && isViable(other)
        && groups(of: other).first?.bus == groups(of: set).first?.bus
        && canMerge(groups(of: other).union(groups(of: set)))
    }
  }

  private mutating func join(_ source: Int, _ target: Int) {
    let moved = groups(of: source)
    sets[target]?.groups.formUnion(moved)
    sets[source] = nil
  }

  // MARK: - IOMMU descriptors

  mutating func map(_ set: Int, _ pages: Range<UInt64>, _ first: Page) throws(Errno) {
    if pages.contains(where: { sets[set]?.mappings[$0] != nil }) { throw .resourceBusy }
    for page in pages {
      sets[set]?.mappings[page] = Page(
        user: first.user, vaddr: first.vaddr + page - pages.lowerBound,
        isReadable: first.isReadable)
    }
  }

  mutating func unmap(_ set: Int, _ pages: Range<UInt64>) {
    for page in pages { sets[set]?.mappings[page] = nil }
  }

  // MARK: - Bus drivers

  mutating func add(_ name: String, _ group: Group) throws(Errno) -> Bool {
    if devices[name] != nil { throw .fileExists }
    devices[name] = Device(name: name, group: group)
    if set(of: group) == nil { makeSet([group]) }
    return set(of: group).map(isInUse) ?? false
  }

  /// The claim is over: a group in use with a device that VFIO does not control is tainted.
  mutating func endClaim(_ name: String) {
    guard let device = devices[name], !device.isBound, let set = set(of: device.group),
      isInUse(set)
    else { return }
    tainted.insert(device.group)
  }

  mutating func delete(_ name: String) {
    if devices[name]?.isBound == true {
      devices[name]?.isDeleted = true
    } else {
      devices[name] = nil
    }
    settle()
  }

  mutating func bind(_ name: String) throws(Errno) {
    guard let device = devices[name] else { throw .invalidArgument }
    if device.isBound { throw .resourceBusy }
    devices[name]?.isBound = true
  }

  mutating func unbind(_ name: String) throws(Errno) {
    guard let device = devices[name], device.isBound else { throw .invalidArgument }
    if device.unbindWaits { throw .resourceBusy }
    devices[name]?.unbindWaits = true
    settle()
  }

  mutating func cancelUnbind(_ name: String) -> Bool {
    guard devices[name]?.unbindWaits == true else { return false }
    devices[name]?.unbindWaits = false
    devices[name]?.isDeleted = false
    return true
  }

  func checkHostMayTake(_ name: String) throws(Errno) {
    guard let device = devices[name] else { throw .operationNotSupportedByDevice }
    if device.isBound || set(of: device.group).map(isInUse) ?? false { throw .resourceBusy }
  }

  // MARK: - What follows

  mutating func close(_ file: Int) {
    guard let gone = files.removeValue(forKey: file) else { return }
    if let group = group(of: gone), opens(gone) == 0 { apart.remove(group) }
    settle()
  }

  @discardableResult
  private mutating func makeSet(_ groups: Set<Group>) -> Int {
    setsMade += 1
    sets[setsMade] = MergedSet(groups: groups)
    return setsMade
  }

  /// Applies the rules about what nobody has open, until none changes anything.
  private mutating func settle() {
    while settleOnce() {}
  }

  private mutating func settleOnce() -> Bool {
    for (id, set) in sets.sorted(by: { $0.key < $1.key }) {
      if !isInUse(id) {
        // Taints last while the group is in use, and unbinds wait as long.
        tainted.subtract(set.groups)
        for device in devices.values where set.groups.contains(device.group) {
          guard device.unbindWaits else { continue }
          devices[device.name]?.isBound = false
          devices[device.name]?.unbindWaits = false
          if device.isDeleted { devices[device.name] = nil }
          unbindsCarriedOut += 1
        }
        // "When the last iommu and device fd of a set closes": the owner goes, and all mappings.
        let isOpen = set.groups.contains { opens(.group($0)) > 0 }
        let staysOwned = set.isOwnedByMerge && set.groups.count > 1 && isOpen
        if set.owner != nil, !staysOwned {
          sets[id]?.owner = nil
          sets[id]?.isOwnedByMerge = false
          sets[id]?.mappings = [:]
          return true
        }
        // "When no group fd is open either": the set dissolves.
        if set.groups.count > 1, !isOpen {
          sets[id] = nil
          for group in set.groups.sorted(by: { $0.number < $1.number }) { makeSet([group]) }
          return true
        }
      }
      // A group goes that has no device and is not open, but not the last of a set in use.
      for group in set.groups where !isInUse(id) || set.groups.count > 1 {
        let isEmpty = !devices.values.contains { $0.group == group }
        guard isEmpty, opens(.group(group)) == 0 else { continue }
        sets[id]?.groups.remove(group)
        tainted.remove(group)
        if set.groups.count == 1 { sets[id] = nil }
        return true
      }
    }
    return false
  }
}
