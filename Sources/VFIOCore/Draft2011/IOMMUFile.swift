import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import VFIOABI

/// An open descriptor of a set's IOMMU, as the draft ABI has it.
final class IOMMUFile: VFIOFile {
  private let vfio: VFIO
  private let set: SetID
  private let domain: SoftIOMMU

  /// The set counts this file as open already.
  init(vfio: VFIO, set: SetID, domain: SoftIOMMU) {
    self.vfio = vfio
    self.set = set
    self.domain = domain
  }

  var description: String { "iommu \(set.rawValue)" }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    switch Draft2011.Request(rawValue: request) {
    case .iommuGetInfo: try getInfo(argument, client)
    case .iommuMapDMA: try mapDMA(argument, client)
    case .iommuUnmapDMA: try unmapDMA(argument, client)
    default: throw .inappropriateIOCTLForDevice
    }
    return .value(0)
  }

  func release() {
    vfio.close(set)
  }

  private func getInfo(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var info = try client.argument(Draft2011.IOMMUInfo.self, at: argument)
    // No flag is known, in or out.
    if info.flags != 0 { throw .invalidArgument }
    info.iovaMin = domain.iovaRanges.first?.lowerBound.rawValue ?? 0
    info.iovaMax = domain.iovaRanges.last?.upperBound.rawValue ?? 0
    info.pgsizeBitmap = domain.pageSizes
    try client.store(info, to: ClientAddress(argument))
  }

  private func mapDMA(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let map = try client.argument(Draft2011.DMAMap.self, at: argument)
    try map.flags.check(knowing: .all)
    var permissions: DMAPermissions = []
    if map.flags.contains(.read) { permissions.insert(.read) }
    if map.flags.contains(.write) { permissions.insert(.write) }
    try domain.map(
      iova: IOVA(map.iova), vaddr: ClientAddress(map.vaddr), size: map.size,
      permissions: permissions, memory: client.addressSpace(),
      lockLimit: client.lockedMemoryLimit())
  }

  private func unmapDMA(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let unmap = try client.argument(Draft2011.DMAUnmap.self, at: argument)
    if unmap.flags != 0 { throw .invalidArgument }
    try domain.unmap(iova: IOVA(unmap.iova), size: unmap.size)
  }
}
