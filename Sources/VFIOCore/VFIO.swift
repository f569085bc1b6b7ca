public import DeviceKit
public import Logging
public import SoftIOMMU
import Synchronization
public import SystemPackage

/// The VFIO core: the groups of all buses, and what bus drivers tell it about their devices.
///
/// Bus drivers call the functions of the document's "VFIO bus driver API"; transports list the groups and
/// open them. Calls come from any thread. All state is in one registry under one lock; what reaches
/// outside (device callbacks, client memory, completions) happens after it is released.
public final class VFIO: Sendable {
  let logger: Logger
  private let registry: Mutex<Registry>
  private let iommu = Mutex(IOMMUSettings())
  let drains: (any Scheduler)?

  /// - Parameters:
  ///   - merging: which groups can be merged.
  ///   - drains: threads that wait for DMA which is under way when its client closes. The close itself must
  ///     not, for a client can make that DMA last; nil to wait all the same.
  public init(
    logger: Logger, merging: Merging = Merging(), drains: (any Scheduler)? = nil
  ) {
    self.logger = logger
    registry = Mutex(Registry(merging: merging))
    self.drains = drains
  }

  /// Says anew which groups can be merged; sets that are merged stay so.
  public func setMerging(_ merging: Merging) {
    changeMerging { $0 = merging }
  }

  /// Which groups can be merged.
  public var merging: Merging { look { $0.merging } }

  /// Changes which groups can be merged, as for groups that are plugged in; sets that are merged stay so.
  public func changeMerging(_ change: (inout Merging) -> Void) {
    registryUpdate { registry, _ in change(&registry.merging) }
  }

  /// Says what the IOMMU can do, from the next domain on.
  public func setIOMMU(_ options: IOMMUOptions) {
    iommu.withLock { $0.options = options }
  }

  /// The parameter `dma_entry_limit` of the kernel's module: how many mappings a container can have that is
  /// given its IOMMU from now on. At first what `setIOMMU` says.
  public var entryLimit: UInt32 {
    get {
      iommu.withLock { settings in
        settings.entryLimit
          ?? UInt32(
            clamping: settings.options.mappingLimit ?? MappingRules.type1v2.defaultMappingLimit)
      }
    }
    set { iommu.withLock { $0.entryLimit = newValue } }
  }

  /// All groups, in order.
  public var groups: [GroupStatus] {
    look { registry in
      registry.groups.keys.sorted(by: Registry.inOrder).compactMap { registry.status(of: $0) }
    }
  }

  /// - Returns: nil when there is no such group.
  public func group(_ id: GroupID) -> GroupStatus? {
    look { $0.status(of: id) }
  }

  /// The group that has a node of this name, of the draft's API or of today's.
  public func group(ofNode name: String) -> GroupStatus? {
    let number = name.split(separator: "-").last.flatMap { UInt32($0) }
    let id = GroupID(name) ?? number.map { GroupID(bus: PCIBus.name, number: $0) }
    guard let group = id.flatMap(group), name == group.draftName || name == group.mainlineName
    else { return nil }
    return group
  }

  /// The names of all groups, in order.
  public var groupIDs: [GroupID] {
    look { $0.groups.keys.sorted(by: Registry.inOrder) }
  }

  /// A number for the group's node, its own for as long as the group is there: the lowest that was free.
  ///
  /// - Returns: nil when there is no such group.
  public func minor(of id: GroupID) -> UInt32? {
    look { $0.groups[id]?.minor }
  }

  /// The buses that have groups.
  public var buses: [String] {
    look { Array($0.buses.keys) }
  }

  /// - Returns: nil when no group of `bus` has a device of this name.
  public func device(named name: String, on bus: String) -> Device? {
    look { registry in
      guard registry.buses[bus] != nil else { return nil }
      return registry.groups.first { $0.key.bus == bus && $0.value.devices[name] != nil }
        .map { Device(name: name, group: $0.key) }
    }
  }

  /// Opens a group's node for the draft ABI.
  ///
  /// - Throws: `ENODEV` when there is no such group or no IOMMU for it, `EBUSY` while it is used through today's.
  public func openGroup(_ id: GroupID) throws(Errno) -> any VFIOFile {
    try update { registry, _ throws(Errno) in
      guard let group = registry.groups[id], group.hasIOMMU else {
        throw .operationNotSupportedByDevice
      }
      guard group.abi == .draft2011 || registry.isIdle(id) else { throw .resourceBusy }
      registry.groups[id]?.openCount += 1
      registry.groups[id]?.abi = .draft2011
    }
    logger.debug("group opened", metadata: ["group": "\(id)"])
    return GroupFile(vfio: self, id: id)
  }

  /// Tells `observer` of the groups there are, as appeared, and from then on of every change, in order.
  ///
  /// A group that comes and goes faster than the observer takes it is not told of: of one group, no more than
  /// a going and a coming wait. Called for one event at a time with no lock held, on the thread that made the
  /// change or on one that was telling of an earlier one. An observer cannot be taken back.
  public func observeGroups(_ observer: @escaping @Sendable (GroupEvent) -> Void) {
    registry.withLock { registry in
      let groups = registry.groups.keys.sorted(by: Registry.inOrder)
      registry.subscribers.append(Subscriber(observer, groups: groups))
    }
    deliverEvents()
  }

  // MARK: - For the files and the bus driver API

  func makeDomain(rules: MappingRules) -> SoftIOMMU {
    let settings = iommu.withLock { $0 }
    var options = settings.options
    if rules != .draft2011, let limit = settings.entryLimit { options.mappingLimit = Int(limit) }
    return SoftIOMMU(rules: rules, options: options)
  }

  func makeDomain() -> SoftIOMMU {
    makeDomain(rules: .draft2011)
  }

  /// Reads the registry.
  func look<Result: Sendable>(_ body: (borrowing Registry) -> Result) -> Result {
    registry.withLock { body($0) }
  }

  /// Changes the registry, then does what the change entails. A change that throws has changed nothing.
  func update<Result: Sendable>(
    _ change: (inout Registry, inout Aftermath) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    var aftermath = Aftermath()
    let result: Result = try registry.withLock { registry throws(Errno) in
      try change(&registry, &aftermath)
    }
    aftermath.run()
    deliverEvents()
    return result
  }

  /// The same for changes that cannot fail.
  @discardableResult
  func registryUpdate<Result: Sendable>(
    _ change: (inout Registry, inout Aftermath) -> Result
  ) -> Result {
    var aftermath = Aftermath()
    let result = registry.withLock { change(&$0, &aftermath) }
    aftermath.run(drains: drains)
    deliverEvents()
    return result
  }

  /// Delivers what has not been, unless another thread is at it: that one takes these along.
  private func deliverEvents() {
    var isMine = false
    while true {
      let next = registry.withLock { registry -> (GroupEvent, Registry.Observer)? in
        guard isMine || !registry.isDelivering else { return nil }
        let next = registry.takeEvent()
        isMine = next != nil
        registry.isDelivering = isMine
        return next
      }
      guard let (event, observer) = next else { return }
      observer(event)
    }
  }
}

/// What new domains are made with.
private struct IOMMUSettings {
  var options = IOMMUOptions()
  /// `dma_entry_limit`, where it has been set.
  var entryLimit: UInt32?
}
