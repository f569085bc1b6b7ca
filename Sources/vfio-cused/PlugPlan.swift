import Control
import VFIOCore

/// The devices to plug in, each with its group.
struct PlugPlan {
  var devices: [ResolvedDevice]
  var platformDevices: [Topology.ResolvedPlatformDevice]
  var isPlatformCoherent: Bool

  /// The groups that are not coherent with the processors' caches, before the devices are there and after. A
  /// group of devices that differ is not coherent.
  func coherency(in vfio: VFIO) -> (before: Set<GroupID>, after: Set<GroupID>) {
    let pci = devices.map {
      (group: GroupID(bus: PCIBus.name, number: $0.group), isCoherent: $0.isCacheCoherent)
    }
    let platform = platformDevices.map {
      (group: GroupID(bus: PlatformBus.name, number: $0.group), isCoherent: isPlatformCoherent)
    }
    let before = vfio.merging.noncoherent
    // A number of a group that is gone says nothing of the one that has it next.
    let fresh = Set((pci + platform).map(\.group)).filter { vfio.group($0) == nil }
    let added = (pci + platform).filter { !$0.isCoherent }.map(\.group)
    return (before, before.subtracting(fresh).union(added))
  }
}
