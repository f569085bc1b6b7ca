import Control
import DeviceKit
import Glibc
import Logging
import SoftIOMMU
import Synchronization
import Sysfs
import SystemPackage
import Threads
import VFIOCore

/// The machine that clients see: buses and devices as the topology has them.
final class Machine: Sendable {
  let vfio: VFIO
  let pci: PCIBus
  let platform: PlatformBus
  private let models: Models
  private let dialect: SysfsDialect
  /// Who plugs in chooses numbers for groups: one at a time.
  private let plugging = Mutex(())

  /// - Parameters:
  ///   - options: without a topology file it is the document's machine; plug-ins are loaded before that is read.
  ///   - scheduler: runs what devices do by themselves.
  init(_ options: MachineOptions, scheduler: any Scheduler, logger: Logger) throws {
    dialect = options.dialect
    vfio = VFIO(logger: logger, drains: WorkPool(limit: 64))
    var models = Models(vfio: vfio, scheduler: scheduler, logger: logger)
    for file in options.plugin { try models.load(Topology.Plugin(file: file)) }
    let topology =
      try options.topology.map { file in
        try Topology(contentsOf: FilePath(file), catalogue: &models)
      } ?? .default
    self.models = models
    var iommu = IOMMUOptions(topology.iommu)
    iommu.ignoresLockLimit = options.ignoreMemlock
    vfio.setIOMMU(iommu)
    vfio.setMerging(
      Merging(policy: Merging.Policy(topology.iommu.merge), isAutomatic: options.autoMerge))
    pci = PCIBus(vfio: vfio, scheduler: scheduler, logger: logger)
    platform = PlatformBus(vfio: vfio, scheduler: scheduler, logger: logger)
    if topology.resolvedDevices().contains(where: { !$0.hasIOMMU }) { vfio.allowsNoIOMMU = true }
    try plug(topology)
  }

  /// Plugs in buses, bridges and devices: all of them, or none where one cannot be. At any time.
  ///
  /// A device joins a group that is there only by naming it; groups without numbers get new ones. What the topology
  /// says of the IOMMU and of plug-ins is for the start alone.
  ///
  /// - Throws: `BusError` for what cannot be plugged in, with a sentence that says why.
  func plug(_ topology: Topology) throws(BusError) {
    try plugging.withLock { _ throws(BusError) in
      let plan = plan(topology)
      let coherency = plan.coherency(in: vfio)
      vfio.changeMerging { $0.noncoherent = coherency.after }
      var rollback: [@Sendable () -> Void] = []
      do throws(BusError) {
        for bridge in topology.bridges {
          try pci.add(PCIBridge(bridge))
          rollback.append { [pci] in _ = try? pci.remove(bridge.address) }
        }
        for device in plan.devices {
          guard let kind = models.pciKind(of: device) else { continue }
          try pci.add(
            address: device.address, kind: kind, group: device.group, hasIOMMU: device.hasIOMMU,
            driver: BusDriver(device.driver))
          rollback.append { [pci] in _ = try? pci.remove(device.address) }
        }
        for device in plan.platformDevices {
          guard let kind = models.platformKind(named: device.model) else { continue }
          try platform.add(
            name: device.name, kind: kind, group: device.group, driver: BusDriver(device.driver))
          rollback.append { [platform] in _ = try? platform.remove(device.name) }
        }
      } catch {
        // What is behind a bridge goes with it.
        for step in rollback { step() }
        vfio.changeMerging { $0.noncoherent = coherency.before }
        throw error
      }
    }
  }

  private func plan(_ topology: Topology) -> PlugPlan {
    PlugPlan(
      devices: topology.resolvedDevices(besides: pci.groupNumbers),
      platformDevices: topology.resolvedPlatformDevices(
        besides: Set(platform.devices.map(\.group.number))),
      isPlatformCoherent: topology.platform.isCacheCoherent)
  }

  /// Unplugs a device, or a bridge with everything behind it, once nobody uses it any more.
  ///
  /// - Parameter completion: called exactly once, when all is gone; never after the wait was taken back.
  /// - Throws: `ENODEV` when there is nothing, `EBUSY` when it is on its way out already.
  @discardableResult
  func unplug(
    _ address: PCIAddress, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) -> UnbindWait {
    try pci.remove(address, completion: completion)
  }

  /// Unplugs a platform device, once nobody uses it any more; otherwise as the other.
  @discardableResult
  func unplug(
    platformDevice name: String, completion: @escaping @Sendable () -> Void = {}
  ) throws(BusError) -> UnbindWait {
    try platform.remove(name, completion: completion)
  }

  /// What stands in `/sys`, where group nodes have these numbers.
  func sysfs(
    deviceNumber: @escaping @Sendable (VFIOCore.GroupID) -> SysfsDeviceNumber?
  ) -> SysfsTree {
    SysfsTree(
      bus: pci, platform: platform, vfio: vfio,
      options: SysfsOptions(
        dialect: dialect, deviceNumber: deviceNumber,
        processors: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
  }

  /// `1 group, 2 devices`
  var summary: String {
    let groups = vfio.groups.count
    let devices = vfio.groups.map(\.members.count).reduce(0, +)
    return "\(groups) group\(groups == 1 ? "" : "s"), \(devices) device\(devices == 1 ? "" : "s")"
  }
}

extension IOMMUOptions {
  init(_ iommu: Topology.IOMMU) {
    self.init(
      windows: iommu.windows, reserved: iommu.reserved, pageSizes: iommu.pageSizes,
      mappingLimit: iommu.mappingLimit, dirtyTracking: iommu.reportsAllDirty ? .all : .exact)
  }
}

extension BusDriver {
  init(_ driver: Topology.Driver) {
    self =
      switch driver {
      case .vfio: .vfio
      case .host(let name): .host(name)
      case .none: .none
      }
  }
}

extension Merging.Policy {
  fileprivate init(_ policy: Topology.MergePolicy) {
    self =
      switch policy {
      case .never: .never
      case .similar: .similar
      case .any: .any
      }
  }
}
