import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import VFIOABI

/// The ioctls of a container's IOMMU (drivers/vfio/vfio_iommu_type1.c): each copies in, checks size and
/// flags, acts, copies out.
struct Type1 {
  let domain: SoftIOMMU

  /// The largest bitmap, in bytes: 2^31 pages.
  private static let bitmapLimit: UInt64 = 0x1000_0000
  /// Where a client's memory ends.
  private static let memoryEnd: UInt64 = 0x7fff_ffff_f000

  func getInfo(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var info = try client.argument(Mainline.IOMMUInfo.self, at: argument)
    let chain = capabilities
    let fullSize = Mainline.IOMMUInfo.fullSize
    let known = min(Int(info.argsz), fullSize)
    info.flags = [.pgsizes, .caps]
    info.iovaPgsizes = domain.pageSizes
    let hasRoom = Int(info.argsz) >= fullSize + chain.size
    if !hasRoom { info.argsz = UInt32(fullSize + chain.size) }
    if hasRoom {
      try client.store(chain.bytes(at: fullSize), at: argument, offset: fullSize)
    }
    try client.store(info, to: ClientAddress(argument))
    var tail: [UInt8] = []
    tail.append(littleEndian: hasRoom ? UInt64(fullSize) : 0)
    try client.store(
      Array(tail.prefix(known - Mainline.IOMMUInfo.capOffset)), at: argument,
      offset: Mainline.IOMMUInfo.capOffset)
  }

  private var capabilities: Mainline.CapabilityChain {
    var chain = Mainline.CapabilityChain()
    var migration: [UInt8] = []
    migration.append(littleEndian: UInt64(0))
    migration.append(littleEndian: smallestPage)
    migration.append(littleEndian: Self.bitmapLimit)
    chain.append(id: Mainline.IOMMUInfo.Capability.migration, payload: migration)
    var available: [UInt8] = []
    available.append(littleEndian: UInt32(clamping: domain.availableMappings))
    chain.append(id: Mainline.IOMMUInfo.Capability.dmaAvail, payload: available)
    var ranges: [UInt8] = []
    ranges.append(littleEndian: UInt64(domain.iovaRanges.count))
    for range in domain.iovaRanges {
      ranges.append(littleEndian: range.lowerBound.rawValue)
      ranges.append(littleEndian: range.upperBound.rawValue)
    }
    chain.append(id: Mainline.IOMMUInfo.Capability.iovaRange, payload: ranges)
    return chain
  }

  /// - Returns: the memory that is mapped.
  func mapDMA(_ argument: UInt64, _ client: any Client) throws(Errno) -> any AddressSpace {
    let map = try client.argument(Mainline.DMAMap.self, at: argument)
    try map.flags.check(knowing: .all)
    let (iova, vaddr) = (IOVA(map.iova), ClientAddress(map.vaddr))
    var permissions: DMAPermissions = []
    if map.flags.contains(.read) { permissions.insert(.read) }
    if map.flags.contains(.write) { permissions.insert(.write) }
    guard map.flags.contains(.vaddr) == permissions.isEmpty else { throw .invalidArgument }
    // What the Intel IOMMU lets devices write, they can read: the bit for it says that there is a page.
    if map.flags.contains(.write) { permissions.insert(.read) }
    let memory = try client.addressSpace()
    if map.flags.contains(.vaddr) {
      try domain.updateVaddr(
        iova: iova, vaddr: vaddr, size: map.size, memory: memory,
        lockLimit: client.lockedMemoryLimit())
    } else {
      try domain.map(
        iova: iova, vaddr: vaddr, size: map.size, permissions: permissions, memory: memory,
        lockLimit: client.lockedMemoryLimit())
    }
    return memory
  }

  func unmapDMA(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var unmap = try client.argument(Mainline.DMAUnmap.self, at: argument)
    try unmap.flags.check(knowing: .known)
    let (iova, all) = (IOVA(unmap.iova), unmap.flags.contains(.all))
    if all, unmap.iova != 0 || unmap.size != 0 { throw .invalidArgument }
    switch (unmap.flags.contains(.getDirtyBitmap), unmap.flags.contains(.vaddr)) {
    case (true, true): throw .invalidArgument
    case (true, false):
      var bitmap = Mainline.Bitmap()
      let needed = Mainline.DMAUnmap.size + MemoryLayout<Mainline.Bitmap>.size
      guard !all, Int(unmap.argsz) >= needed else { throw .invalidArgument }
      try client.load(&bitmap, at: argument, offset: Mainline.DMAUnmap.size)
      try check(bitmap, for: unmap.size)
      unmap.size = try domain.unmap(
        iova: iova, size: unmap.size, dirtyBitmap: receiver(of: bitmap, client))
    case (false, true):
      unmap.size =
        try all
        ? domain.invalidateAllVaddrs() : domain.invalidateVaddrs(iova: iova, size: unmap.size)
    case (false, false):
      unmap.size = try all ? domain.unmapAll() : domain.unmap(iova: iova, size: unmap.size)
    }
    try client.store(unmap, to: ClientAddress(argument))
  }

  func dirtyPages(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let dirty = try client.argument(Mainline.DirtyPages.self, at: argument)
    switch dirty.flags {
    case .start: domain.startDirtyTracking()
    case .stop: domain.stopDirtyTracking()
    case .getBitmap:
      var range = Mainline.DirtyRange()
      let needed = Mainline.DirtyPages.size + MemoryLayout<Mainline.DirtyRange>.size
      guard Int(dirty.argsz) >= needed else { throw .invalidArgument }
      try client.load(&range, at: argument, offset: Mainline.DirtyPages.size)
      if range.iova.addingReportingOverflow(range.size).overflow { throw .invalidArgument }
      try check(range.bitmap, for: range.size)
      try domain.takeDirtyBitmap(
        iova: IOVA(range.iova), size: range.size, receiver(of: range.bitmap, client))
    default: throw .invalidArgument
    }
  }

  /// - Throws: `EINVAL` for another page size than the smallest, and for a bitmap that is not in a client's
  ///   memory, too large, or too small for `size` bytes.
  private func check(_ bitmap: Mainline.Bitmap, for size: UInt64) throws(Errno) {
    let (end, overflow) = bitmap.data.addingReportingOverflow(bitmap.size)
    guard !overflow, end <= Self.memoryEnd, bitmap.pgsize == smallestPage,
      size >= bitmap.pgsize, bitmap.size > 0, bitmap.size <= Self.bitmapLimit,
      // In whole words of 64 bits.
      bitmap.size / 8 >= (size / bitmap.pgsize - 1) / 64 + 1
    else { throw .invalidArgument }
  }

  private func receiver(
    of bitmap: Mainline.Bitmap, _ client: any Client
  ) -> SoftIOMMU.BitmapReceiver {
    { (offset, bytes) throws(Errno) in
      guard let address = ClientAddress(bitmap.data).advanced(by: UInt64(offset)) else {
        throw .badAddress
      }
      try client.write(address, from: bytes)
    }
  }

  /// Bytes.
  private var smallestPage: UInt64 { domain.pageSizes & (~domain.pageSizes &+ 1) }
}
