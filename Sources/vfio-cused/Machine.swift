import ArgumentParser
import Control
import DeviceKit
import Devices
import Glibc
import Logging
import Sysfs
import SystemPackage
import Threads
import VFIOCore

/// The machine that clients see: buses and devices as the topology has them.
struct Machine {
  let vfio: VFIO
  private let pci: PCIBus
  private let bridges: [PCIBridge]

  /// - Parameters:
  ///   - topology: a topology file; nil for the document's machine.
  ///   - mergesAutomatically: whether groups that one user has are merged without being asked.
  ///   - scheduler: runs what devices do by themselves.
  init(
    topology path: String?, mergesAutomatically: Bool, scheduler: any Scheduler, logger: Logger
  ) throws {
    let topology =
      try path.map {
        try Topology(contentsOf: FilePath($0), models: DeviceCatalogue.kinds.keys)
      } ?? .default
    bridges = topology.bridges.map { bridge in
      PCIBridge(
        address: bridge.address, secondary: bridge.secondary, vendorID: bridge.identity.vendorID,
        deviceID: bridge.identity.deviceID, revision: bridge.identity.revision)
    }
    let devices = topology.resolvedDevices()
    vfio = VFIO(
      logger: logger,
      merging: Merging(topology.iommu.merge, devices, isAutomatic: mergesAutomatically),
      drains: WorkPool(limit: 64))
    pci = PCIBus(vfio: vfio, scheduler: scheduler, logger: logger)
    for device in devices {
      guard let kind = DeviceCatalogue.kind(named: device.model) else { continue }
      try pci.add(
        address: device.address, kind: kind, group: device.group,
        driver: PCIBus.Driver(device.driver))
    }
  }

  /// What stands in `/sys`, where group nodes have these numbers.
  func sysfs(
    _ dialect: SysfsDialect,
    deviceNumber: @escaping @Sendable (VFIOCore.GroupID) -> SysfsDeviceNumber?
  ) -> SysfsTree {
    SysfsTree(
      bus: pci, vfio: vfio,
      options: SysfsOptions(
        dialect: dialect, bridges: bridges, deviceNumber: deviceNumber,
        processors: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
  }

  /// `1 group, 2 devices`
  var summary: String {
    let (groups, devices) = (vfio.groups.count, pci.functions.count)
    return "\(groups) group\(groups == 1 ? "" : "s"), \(devices) device\(devices == 1 ? "" : "s")"
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
  fileprivate init(
    _ policy: Topology.MergePolicy, _ devices: [ResolvedDevice], isAutomatic: Bool
  ) {
    let noncoherent = devices.filter { !$0.isCacheCoherent }
      .map { VFIOCore.GroupID(bus: PCIBus.name, number: $0.group) }
    self.init(
      policy: Policy(policy), noncoherent: Set(noncoherent), isAutomatic: isAutomatic)
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
