import ArgumentParser
import Control
import DeviceKit
import Glibc
import Logging
import SoftIOMMU
import Sysfs
import SystemPackage
import Threads
import VFIOCore

/// The machine that clients see: buses and devices as the topology has them.
struct Machine {
  let vfio: VFIO
  private let pci: PCIBus
  private let platform: PlatformBus
  private let models: Models

  /// - Parameters:
  ///   - topology: a topology file; nil for the document's machine.
  ///   - plugins: shared objects to load before it is read.
  ///   - mergesAutomatically: whether groups that one user has are merged without being asked.
  ///   - ignoresMemlock: whether clients may map any amount of memory.
  ///   - scheduler: runs what devices do by themselves.
  init(
    topology path: String?, plugins: [String], mergesAutomatically: Bool, ignoresMemlock: Bool,
    scheduler: any Scheduler, logger: Logger
  ) throws {
    vfio = VFIO(logger: logger, drains: WorkPool(limit: 64))
    var models = Models(vfio: vfio, scheduler: scheduler, logger: logger)
    for file in plugins { try models.load(Topology.Plugin(file: file)) }
    let topology =
      try path.map { try Topology(contentsOf: FilePath($0), catalogue: &models) } ?? .default
    self.models = models
    var iommu = IOMMUOptions(topology.iommu)
    iommu.ignoresLockLimit = ignoresMemlock
    vfio.setIOMMU(iommu)
    vfio.setMerging(Merging(topology, isAutomatic: mergesAutomatically))
    pci = PCIBus(vfio: vfio, scheduler: scheduler, logger: logger)
    platform = PlatformBus(vfio: vfio, scheduler: scheduler, logger: logger)
    try plug(topology)
  }

  /// Plugs in buses, bridges and devices: all of them, or none where one cannot be.
  func plug(_ topology: Topology) throws {
    var plugged: [PCIAddress] = []
    var pluggedPlatform: [String] = []
    do {
      for bridge in topology.bridges {
        try pci.add(
          PCIBridge(
            address: bridge.address, secondary: bridge.secondary,
            vendorID: bridge.identity.vendorID, deviceID: bridge.identity.deviceID,
            revision: bridge.identity.revision))
        plugged.append(bridge.address)
      }
      let devices = topology.resolvedDevices()
      if devices.contains(where: { !$0.hasIOMMU }) { vfio.allowsNoIOMMU = true }
      for device in devices {
        guard let kind = models.pciKind(of: device) else { continue }
        try pci.add(
          address: device.address, kind: kind, group: device.group, hasIOMMU: device.hasIOMMU,
          driver: PCIBus.Driver(device.driver))
        plugged.append(device.address)
      }
      for device in topology.resolvedPlatformDevices() {
        guard let kind = models.platformKind(named: device.model) else { continue }
        try platform.add(
          name: device.name, kind: kind, group: device.group,
          driver: PlatformBus.Driver(device.driver))
        pluggedPlatform.append(device.name)
      }
    } catch {
      // What is behind a bridge goes with it.
      for address in plugged { _ = try? pci.remove(address) }
      for name in pluggedPlatform { try? platform.remove(name) }
      throw error
    }
  }

  /// Unplugs a device, or a bridge with everything behind it, once nobody uses it any more.
  ///
  /// - Parameter completion: called exactly once, when all is gone; never after the wait was taken back.
  /// - Throws: `ENODEV` when there is nothing, `EBUSY` when it is on its way out already.
  @discardableResult
  func unplug(
    _ address: PCIAddress, completion: @escaping @Sendable () -> Void = {}
  ) throws(PCIBusError) -> UnbindWait {
    try pci.remove(address, completion: completion)
  }

  /// What stands in `/sys`, where group nodes have these numbers.
  func sysfs(
    _ dialect: SysfsDialect,
    deviceNumber: @escaping @Sendable (VFIOCore.GroupID) -> SysfsDeviceNumber?
  ) -> SysfsTree {
    SysfsTree(
      bus: pci, vfio: vfio,
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

extension PCIBus.Driver {
  init(_ driver: Topology.Driver) {
    self =
      switch driver {
      case .vfio: .vfio
      case .host(let name): .host(name)
      case .none: .none
      }
  }
}

extension Merging {
  fileprivate init(_ topology: Topology, isAutomatic: Bool) {
    let pci = topology.resolvedDevices().filter { !$0.isCacheCoherent }
      .map { VFIOCore.GroupID(bus: PCIBus.name, number: $0.group) }
    let platform = topology.resolvedPlatformDevices()
      .filter { _ in !topology.platform.isCacheCoherent }
      .map { VFIOCore.GroupID(bus: PlatformBus.name, number: $0.group) }
    self.init(
      policy: Policy(topology.iommu.merge), noncoherent: Set(pci + platform),
      isAutomatic: isAutomatic)
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

extension TopologyError {
  var exitCode: ExitCode {
    access(file, R_OK) == 0 ? Sysexits.dataError : Sysexits.noInput
  }
}
