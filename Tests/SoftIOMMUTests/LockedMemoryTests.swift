import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

/// What counts against a client's limit of locked memory, where some of it is a device's.
struct LockedMemoryTests {
  /// Two pages of memory, two of a device, two of memory.
  private func fixture(_ rules: MappingRules) -> Fixture {
    let f = Fixture(pages: 6, iommu: SoftIOMMU(rules: rules))
    f.memory.mmapDevice(vaddr + 2 * page, pages: 2)
    return f
  }

  @Test(arguments: [MappingRules.draft2011, .type1, .type1v2])
  func memoryOfDevicesCountsNothing(rules: MappingRules) throws {
    let f = fixture(rules)
    try f.map(0, vaddr + 2 * page, pages: 2, limit: 0)
    #expect(f.memory.locked == 0)
    #expect(
      errno { () throws(Errno) in try f.map(0x8000, pages: 6, limit: 3 * page) } == .noMemory)
    try f.map(0x8000, pages: 6, limit: 4 * page)
    #expect(f.memory.locked == 4 * page)
    try f.iommu.unmap(iova: IOVA(0), size: 2 * page)
    #expect(f.memory.locked == 4 * page)
    try f.iommu.unmap(iova: IOVA(0x8000), size: 6 * page)
    #expect(f.memory.locked == 0)
  }

  @Test func aCutCountsWhatIsLeft() throws {
    let f = fixture(.draft2011)
    try f.map(0, pages: 6)
    for (first, pages, left) in [(1, 2, 3), (3, 1, 3), (4, 1, 2), (0, 6, 0)]
      as [(UInt64, UInt64, UInt64)]
    {
      try f.iommu.unmap(iova: IOVA(first * page), size: pages * page)
      #expect(f.memory.locked == left * page)
    }
  }

  @Test func oneByOneTheyCoalesce() throws {
    let f = fixture(.draft2011)
    try f.map(0, vaddr + 2 * page, pages: 1, limit: 0)
    try f.map(page, vaddr + 3 * page, pages: 1, limit: 0)
    #expect(f.ranges == [[0, 2 * page - 1]])
    // The next one is memory, of another kind.
    try f.map(2 * page, vaddr + 4 * page, pages: 1)
    #expect(f.ranges.count == 2)
    #expect(f.iommu.unmapAll() == 3 * page)
    #expect(f.memory.locked == 0)
  }

  /// Under today's rules the pages before a bad one decide which error comes first.
  @Test(arguments: [(UInt64(1), Errno.noMemory), (2, .badAddress)])
  func pagesBeforeABadOne(limit: UInt64, error: Errno) {
    let f = fixture(.type1v2)
    f.memory.munmap(vaddr + 4 * page, pages: 1)
    #expect(errno { () throws(Errno) in try f.map(0, pages: 6, limit: limit * page) } == error)
    #expect(f.memory.locked == 0)
  }

  @Test func aMappingThatMovesCountsAnew() throws {
    let f = fixture(.type1v2)
    try f.map(0, pages: 2)
    for (address, locked) in [(vaddr + 2 * page, 0), (vaddr + page, 1), (vaddr, 2)]
      as [(UInt64, UInt64)]
    {
      _ = try f.iommu.invalidateAllVaddrs()
      try f.iommu.updateVaddr(
        iova: IOVA(0), vaddr: ClientAddress(address), size: 2 * page, memory: f.memory,
        lockLimit: 0)
      #expect(f.memory.locked == locked * page)
    }
    f.iommu.unmapAll()
    #expect(f.memory.locked == 0)
  }

  @Test func whoIgnoresTheLimitDoesNotAskForIt() throws {
    var options = IOMMUOptions()
    options.ignoresLockLimit = true
    let f = Fixture(iommu: SoftIOMMU(options: options))
    func limit() throws(Errno) -> UInt64 { throw .notPermitted }
    try f.iommu.map(
      iova: IOVA(0), vaddr: ClientAddress(vaddr), size: page, permissions: .read, memory: f.memory,
      lockLimit: limit())
    #expect(f.memory.locked == page)
  }
}
