import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

struct SoftIOMMUTests {
  @Test func offersPagesOf4KiBAndUp() {
    #expect(SoftIOMMU().pageSizes == 0xffff_ffff_ffff_f000)
    #expect(SoftIOMMU().iovaRanges == [IOVA(0)...IOVA(.max)])
  }

  @Test func mapsAndLocks() throws {
    let f = Fixture()
    try f.map(0x1000, pages: 3)
    #expect(f.ranges == [[0x1000, 0x3fff]])
    #expect(f.memory.locked == 3 * page)
  }

  struct BadMap: Sendable {
    var iova: UInt64 = 0x1000
    var vaddr: UInt64 = 0x7000_0000_0000
    var size: UInt64 = 0x1000
    var rights: DMAPermissions = .read
  }

  static let badMaps: [BadMap] = [
    BadMap(size: 0),
    BadMap(rights: []),
    BadMap(iova: 0x1001),
    BadMap(iova: 0x1800),
    BadMap(vaddr: 0x7000_0000_0008),
    BadMap(size: 0x1001),
    BadMap(size: 1),
    BadMap(iova: 0xffff_ffff_ffff_f000, size: 0x2000),
    BadMap(vaddr: 0xffff_ffff_ffff_f000, size: 0x2000),
    BadMap(iova: 0x2000, size: 0xffff_ffff_ffff_f000),
  ]

  @Test(arguments: badMaps)
  func refusesBadArguments(_ bad: BadMap) {
    let f = Fixture()
    let error = errno { () throws(Errno) in
      try f.iommu.map(
        iova: IOVA(bad.iova), vaddr: ClientAddress(bad.vaddr), size: bad.size,
        permissions: bad.rights, memory: f.memory, lockLimit: .max)
    }
    #expect(error == .invalidArgument)
    #expect(f.iommu.mappings.isEmpty)
    #expect(f.memory.locked == 0)
  }

  @Test func alignmentFollowsTheSmallestPage() {
    let memory = MemorySpace()
    memory.mmap(vaddr, pages: 16)
    let iommu = SoftIOMMU(options: IOMMUOptions(pageSizes: 0x1_0000 | 0x20_0000))
    func map(_ iova: UInt64, _ size: UInt64) -> Errno? {
      errno { () throws(Errno) in
        try iommu.map(
          iova: IOVA(iova), vaddr: ClientAddress(vaddr), size: size, permissions: .read,
          memory: memory, lockLimit: .max)
      }
    }
    #expect(map(0, page) == .invalidArgument)
    #expect(map(0x1000, 0x1_0000) == .invalidArgument)
    #expect(map(0x1_0000, 0x1_0000) == nil)
  }

  @Test func mapsTheVeryLastPage() throws {
    let f = Fixture()
    try f.map(UInt64.max - page + 1)
    #expect(f.ranges == [[UInt64.max - page + 1, .max]])
    f.memory.poke(vaddr + page - 1, [0x5a])
    let (bytes, fault) = f.read(.max, 1)
    #expect(bytes == [0x5a])
    #expect(fault == nil)
    #expect(try f.iommu.unmap(iova: IOVA(UInt64.max - page + 1), size: page) == page)
    #expect(f.iommu.mappings.isEmpty)
  }

  @Test func memoryThatEndsAtTheTopFaults() {
    let f = Fixture()
    #expect(errno { () throws(Errno) in try f.map(0, UInt64.max - page + 1) } == .badAddress)
    #expect(f.memory.locked == 0)
  }

  static let overlaps: [(UInt64, UInt64)] = [
    (0x4000, 4), (0x5000, 1), (0x4000, 1), (0x7000, 1), (0x3000, 2), (0x7000, 2), (0x3000, 6),
    (0, 9),
  ]

  @Test(arguments: overlaps)
  func overlapIsBusy(iova: UInt64, pages: UInt64) throws {
    let f = Fixture()
    try f.map(0x4000, pages: 4)
    // Over a bad address and over the limit too.
    for address in [vaddr, 0x1000] {
      #expect(
        errno { () throws(Errno) in try f.map(iova, address, pages: pages, limit: 0) }
          == .resourceBusy)
    }
    #expect(f.ranges == [[0x4000, 0x7fff]])
    #expect(f.memory.locked == 4 * page)
  }

  @Test func overTheLimit() throws {
    let f = Fixture()
    try f.map(0, pages: 2, limit: 3 * page)
    #expect(
      errno { () throws(Errno) in try f.map(0x8000, pages: 2, limit: 3 * page) } == .noMemory)
    #expect(f.memory.locked == 2 * page)
    try f.map(0x8000, vaddr + 4 * page, pages: 1, limit: 3 * page)
    #expect(f.memory.locked == 3 * page)
  }

  @Test func memoryThatIsNotThere() throws {
    let f = Fixture(pages: 2)
    #expect(errno { () throws(Errno) in try f.map(0, pages: 3) } == .badAddress)
    #expect(f.iommu.mappings.isEmpty)
    #expect(f.memory.locked == 0)
  }

  @Test func memoryThatCannotBeWritten() throws {
    let f = Fixture()
    f.memory.mmap(vaddr, pages: 1, .read)
    #expect(errno { () throws(Errno) in try f.map(0, .write) } == .badAddress)
    #expect(errno { () throws(Errno) in try f.map(0, [.read, .write]) } == .badAddress)
    #expect(f.memory.locked == 0)
    try f.map(0, .read)
    f.memory.mmap(vaddr + page, pages: 1, [])
    #expect(errno { () throws(Errno) in try f.map(0x9000, vaddr + page, .read) } == .badAddress)
    #expect(f.memory.locked == page)
  }

  // MARK: - Coalescing and splitting

  @Test func coalescesWithBothNeighbours() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x3000, vaddr + 2 * page)
    #expect(f.ranges.count == 2)
    try f.map(0x2000, vaddr + page)
    #expect(f.ranges == [[0x1000, 0x3fff]])
    #expect(f.iommu.mappings.first?.vaddr == ClientAddress(vaddr))
    #expect(f.memory.locked == 3 * page)
  }

  @Test func differentPermissionsStayApart() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr, .read)
    try f.map(0x2000, vaddr + page, [.read, .write])
    #expect(f.ranges == [[0x1000, 0x1fff], [0x2000, 0x2fff]])
  }

  @Test func memoryThatDoesNotGoOnStaysApart() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x2000, vaddr + 5 * page)
    #expect(f.ranges == [[0x1000, 0x1fff], [0x2000, 0x2fff]])
  }

  @Test func differentAddressSpacesStayApart() throws {
    let f = Fixture()
    let other = MemorySpace()
    other.mmap(vaddr, pages: 16)
    try f.map(0x1000, vaddr)
    try f.iommu.map(
      iova: IOVA(0x2000), vaddr: ClientAddress(vaddr + page), size: page,
      permissions: [.read, .write], memory: other, lockLimit: .max)
    #expect(f.ranges.count == 2)
    #expect(other.locked == page)
    f.iommu.tearDown()
    #expect(other.locked == 0)
    #expect(f.memory.locked == 0)
  }

  struct Cut: Sendable {
    var iova: UInt64
    var pages: UInt64
    var left: [[UInt64]]
    var unmapped: UInt64
  }

  static let cuts: [Cut] = [
    Cut(iova: 0x4000, pages: 1, left: [[0x5000, 0x7fff]], unmapped: 1),
    Cut(iova: 0x7000, pages: 1, left: [[0x4000, 0x6fff]], unmapped: 1),
    Cut(iova: 0x5000, pages: 2, left: [[0x4000, 0x4fff], [0x7000, 0x7fff]], unmapped: 2),
    Cut(iova: 0x4000, pages: 4, left: [], unmapped: 4),
    Cut(iova: 0, pages: 16, left: [], unmapped: 4),
    Cut(iova: 0x6000, pages: 8, left: [[0x4000, 0x5fff]], unmapped: 2),
    Cut(iova: 0, pages: 5, left: [[0x5000, 0x7fff]], unmapped: 1),
    Cut(iova: 0x8000, pages: 4, left: [[0x4000, 0x7fff]], unmapped: 0),
  ]

  @Test(arguments: cuts)
  func unmapCuts(_ cut: Cut) throws {
    let f = Fixture()
    try f.map(0x4000, pages: 4)
    #expect(
      try f.iommu.unmap(iova: IOVA(cut.iova), size: cut.pages * page) == cut.unmapped * page)
    #expect(f.ranges == cut.left)
    #expect(f.memory.locked == (4 - cut.unmapped) * page)
    for mapping in f.iommu.mappings {
      #expect(mapping.vaddr.rawValue - vaddr == mapping.range.lowerBound.rawValue - 0x4000)
    }
  }

  @Test func unmapOverSeveralMappingsAndHoles() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr, pages: 2)
    try f.map(0x5000, vaddr + 4 * page)
    try f.map(0x8000, vaddr + 8 * page, pages: 2)
    #expect(try f.iommu.unmap(iova: IOVA(0x2000), size: 7 * page) == 3 * page)
    #expect(f.ranges == [[0x1000, 0x1fff], [0x9000, 0x9fff]])
  }

  @Test func unmapOfNothingSucceeds() throws {
    let f = Fixture()
    #expect(try f.iommu.unmap(iova: IOVA(0x1000), size: page) == 0)
    try f.map(0x1000)
    #expect(try f.iommu.unmap(iova: IOVA(0x1000), size: 0) == 0)
    #expect(f.ranges.count == 1)
  }

  static let badUnmaps: [(UInt64, UInt64)] = [
    (0x1001, 0x1000), (0x1000, 0x1001), (0x1000, 1), (0xffff_ffff_ffff_f000, 0x2000),
    (0x2000, 0xffff_ffff_ffff_f000),
  ]

  @Test(arguments: badUnmaps)
  func unmapRefusesBadArguments(iova: UInt64, size: UInt64) throws {
    let f = Fixture()
    try f.map(0x1000)
    #expect(
      errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(iova), size: size) }
        == .invalidArgument)
    #expect(f.ranges.count == 1)
  }

  @Test func tearDownUnmapsAllForGood() throws {
    let f = Fixture()
    try f.map(0x1000)
    try f.map(0x8000, pages: 4)
    f.iommu.tearDown()
    #expect(f.iommu.mappings.isEmpty)
    #expect(f.memory.locked == 0)
    #expect(errno { () throws(Errno) in try f.map(0x1000) } == .operationNotSupportedByDevice)
    #expect(f.read(0x1000, 1).1?.cause == .unmapped)
  }
}
