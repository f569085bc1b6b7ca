import ClientAccess
import DeviceKit
import Dispatch
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import SoftIOMMU

private let page: UInt64 = 4096
private let vaddr: UInt64 = 0x7000_0000_0000

/// A domain with one address space that has some pages.
private struct Fixture {
  let iommu = SoftIOMMU()
  let memory = MemorySpace()

  init(pages: Int = 16) {
    memory.mmap(vaddr, pages: pages)
  }

  func map(
    _ iova: UInt64, _ address: UInt64 = vaddr, pages: UInt64 = 1,
    _ permissions: DMAPermissions = [.read, .write], limit: UInt64 = .max
  ) throws(Errno) {
    try iommu.map(
      iova: IOVA(iova), vaddr: ClientAddress(address), size: pages * page,
      permissions: permissions, memory: memory, lockLimit: limit)
  }

  /// First and last address of each mapping.
  var ranges: [[UInt64]] {
    iommu.mappings.map { [$0.range.lowerBound.rawValue, $0.range.upperBound.rawValue] }
  }
}

struct SoftIOMMUTests {
  @Test func offersPagesOf4KiBAndUp() {
    #expect(SoftIOMMU().pageSizes == 0xffff_ffff_ffff_f000)
    #expect(SoftIOMMU().iovaRange == IOVA(0)...IOVA(.max))
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
    let iommu = SoftIOMMU(pageSizes: 0x1_0000 | 0x20_0000)
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

  // MARK: - DMA

  @Test func movesBytesAcrossMappings() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x2000, vaddr + 8 * page)
    let bytes = (0..<200).map { UInt8($0) }
    #expect(f.write(0x1f9c, bytes) == nil)
    #expect(f.memory.peek(vaddr + page - 100, count: 100) == bytes[..<100].map { $0 })
    #expect(f.memory.peek(vaddr + 8 * page, count: 100) == bytes[100...].map { $0 })
    let (back, fault) = f.read(0x1f9c, 200)
    #expect(back == bytes)
    #expect(fault == nil)
  }

  @Test func unmappedReadsZerosAndSwallowsWrites() throws {
    let f = Fixture()
    try f.map(0x1000)
    f.memory.poke(vaddr, [UInt8](repeating: 0xaa, count: Int(page)))
    let (bytes, fault) = f.read(0xffe, 4)
    #expect(bytes == [0, 0, 0xaa, 0xaa])
    #expect(fault == DMAFault(iova: IOVA(0xffe), cause: .unmapped))
    let (tail, tailFault) = f.read(0x1ffe, 4)
    #expect(tail == [0xaa, 0xaa, 0, 0])
    #expect(tailFault == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
    #expect(f.write(0x1ffe, [1, 2, 3, 4]) == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
    #expect(f.memory.peek(vaddr + page - 2, count: 2) == [1, 2])
    #expect(f.memory.peek(vaddr + page) == 0)
  }

  @Test func permissionsHoldByDirection() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr, .read)
    try f.map(0x3000, vaddr + page, .write)
    f.memory.poke(vaddr, [7])
    f.memory.poke(vaddr + page, [9])
    #expect(f.read(0x1000, 1).0 == [7])
    #expect(f.write(0x1000, [1]) == DMAFault(iova: IOVA(0x1000), cause: .permission))
    #expect(f.memory.peek(vaddr) == 7)
    let (bytes, fault) = f.read(0x3000, 1)
    #expect(bytes == [0])
    #expect(fault == DMAFault(iova: IOVA(0x3000), cause: .permission))
    #expect(f.write(0x3000, [1]) == nil)
    #expect(f.memory.peek(vaddr + page) == 1)
  }

  @Test func theFirstFaultIsReported() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x3000, vaddr + page, .write)
    let (_, fault) = f.read(0x1000, 4 * Int(page))
    #expect(fault == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
  }

  @Test func goneMemoryFaultsPageByPage() throws {
    let f = Fixture(pages: 4)
    try f.map(0x1000, pages: 4)
    f.memory.munmap(vaddr + page, pages: 1)
    let bytes = [UInt8](repeating: 0x77, count: 3 * Int(page))
    #expect(f.write(0x1800, bytes) == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(f.memory.peek(vaddr + page - 1) == 0x77)
    #expect(f.memory.peek(vaddr + 2 * page) == 0x77)
    #expect(f.memory.peek(vaddr + 3 * page) == 0x77)
    let (back, fault) = f.read(0x1800, 3 * Int(page))
    #expect(fault == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(back[0x7ff] == 0x77 && back[0x800] == 0 && back[0x17ff] == 0 && back[0x1800] == 0x77)
  }

  @Test func transfersEndAtTheTop() throws {
    let f = Fixture()
    try f.map(0)
    try f.map(UInt64.max - page + 1, vaddr + page)
    f.memory.poke(vaddr, [1, 1])
    f.memory.poke(vaddr + 2 * page - 2, [2, 2])
    let (bytes, fault) = f.read(.max - 1, 4)
    #expect(bytes == [2, 2, 0, 0])
    #expect(fault == DMAFault(iova: IOVA(0), cause: .unmapped))
  }

  @Test func nothingToMoveIsNoFault() {
    let f = Fixture()
    #expect(f.read(0x1000, 0).1 == nil)
    #expect(f.write(0x1000, []) == nil)
    // An empty transfer leaves nothing in flight to wait for.
    f.iommu.tearDown()
  }

  /// The hook runs in the middle of a transfer: it looks the table up, which would hang with the table
  /// locked, and lets an unmap go as far as it can, which must not be all the way.
  @Test func unmapWaitsForTransfersUnderWay() throws {
    let f = Fixture()
    try f.map(0x1000)
    let order = Log()
    let unmapped = DispatchSemaphore(value: 0)
    f.memory.onCopy {
      f.memory.onCopy(nil)
      DispatchQueue.global().async {
        _ = errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(0x1000), size: page) }
        order.add("unmapped")
        unmapped.signal()
      }
      while !f.iommu.mappings.isEmpty { sched_yield() }
      for _ in 0..<1000 { sched_yield() }
      order.add("moved")
    }
    #expect(f.write(0x1000, [1, 2, 3]) == nil)
    unmapped.wait()
    #expect(order.entries == ["moved", "unmapped"])
    #expect(f.memory.peek(vaddr, count: 3) == [1, 2, 3])
    #expect(f.write(0x1000, [9])?.cause == .unmapped)
  }

  @Test func unmapDoesNotWaitForTransfersElsewhere() throws {
    let f = Fixture()
    try f.map(0x1000)
    try f.map(0x8000, vaddr + 4 * page)
    f.memory.onCopy {
      f.memory.onCopy(nil)
      // On the transfer's own thread: it would never return if it waited.
      #expect(
        errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(0x8000), size: page) } == nil)
    }
    #expect(f.write(0x1000, [1]) == nil)
    #expect(f.ranges == [[0x1000, 0x1fff]])
  }
}

extension Fixture {
  func read(_ iova: UInt64, _ count: Int) -> ([UInt8], DMAFault?) {
    var bytes = [UInt8](repeating: 0xee, count: count)
    let fault = bytes.withUnsafeMutableBytes { iommu.read(IOVA(iova), into: $0) }
    return (bytes, fault)
  }

  func write(_ iova: UInt64, _ bytes: [UInt8]) -> DMAFault? {
    bytes.withUnsafeBytes { iommu.write(IOVA(iova), from: $0) }
  }

  func map(_ iova: UInt64, _ permissions: DMAPermissions) throws(Errno) {
    try map(iova, vaddr, pages: 1, permissions)
  }

  func map(_ iova: UInt64, _ address: UInt64, _ permissions: DMAPermissions) throws(Errno) {
    try map(iova, address, pages: 1, permissions)
  }
}
