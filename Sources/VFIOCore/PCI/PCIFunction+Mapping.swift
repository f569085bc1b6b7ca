import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// What clients can map of a function.
extension PCIFunction {
  /// The parts of a region that can be mapped, in whole pages and in order; none of a region whose accesses
  /// mean more than memory.
  ///
  /// - Parameter sparesMSIX: leaves out the pages that the MSI-X table is in.
  func mappableAreas(of region: PCIRegion, sparesMSIX: Bool) -> [Range<UInt64>] {
    let page = SharedMemory.pageSize
    guard let number = region.bar, let bar = kind.description.bars[number], bar.isRAM,
      bar.size >= page
    else { return [] }
    guard sparesMSIX, let msix = kind.description.msix, msix.table.bar == number else {
      return [0..<bar.size]
    }
    let table = msix.tableRange
    let after = min(bar.size, (table.upperBound + page - 1) / page * page)
    return [0..<(table.lowerBound / page * page), after..<bar.size].filter { !$0.isEmpty }
  }

  /// Answers a client that wants to map a part of the device descriptor, as vfio-pci's `mmap` does.
  ///
  /// - Throws: `EINVAL` for a private mapping and for what is not all inside one mappable area.
  func map(_ request: MapRequest, sparesMSIX: Bool) throws(Errno) -> MapBacking {
    guard let memory else { throw .invalidArgument }
    return try memory.backing(request) { index in
      PCIRegion(rawValue: UInt32(index)).map { mappableAreas(of: $0, sparesMSIX: sparesMSIX) }
        ?? []
    }
  }
}
