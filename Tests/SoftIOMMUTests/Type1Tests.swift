import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

/// Today's rules, as Linux 6.1 answers them.
struct Type1Tests {
  static let base: UInt64 = 0x10_0000

  private func fixture(_ rules: MappingRules, limit: Int? = nil) -> Fixture {
    Fixture(pages: 64, iommu: SoftIOMMU(rules: rules, options: IOMMUOptions(mappingLimit: limit)))
  }

  static let both: [MappingRules] = [.type1, .type1v2]

  @Test func whatItOffers() {
    let iommu = SoftIOMMU(rules: .type1v2)
    #expect(iommu.pageSizes == 0x4020_1000)
    #expect(
      iommu.iovaRanges == [
        IOVA(0)...IOVA(0xfedf_ffff), IOVA(0xfef0_0000)...IOVA(0x7f_ffff_ffff),
      ])
    #expect(iommu.availableMappings == 65535)
  }

  @Test(arguments: Self.both)
  func overlapIsEEXISTWhateverElseIsWrong(rules: MappingRules) throws {
    let f = fixture(rules, limit: 1)
    try f.map(Self.base, pages: 4)
    for (iova, address, pages) in [
      (Self.base, vaddr, 4), (Self.base + page, vaddr, 1), (Self.base - page, vaddr, 6),
      (Self.base - page, vaddr, 2), (Self.base + 3 * page, vaddr, 2), (Self.base, 0, 1),
    ] as [(UInt64, UInt64, UInt64)] {
      let error = errno { () throws(Errno) in try f.map(iova, address, pages: pages, limit: 0) }
      #expect(error == .fileExists)
    }
    #expect(errno { () throws(Errno) in try f.map(0, 0) } == .noSpace)
    #expect(f.iommu.availableMappings == 0)
    #expect(f.iommu.unmapAll() == 4 * page)
    #expect(f.iommu.availableMappings == 1)
    #expect(errno { () throws(Errno) in try f.map(0, 0) } == .badAddress)
  }

  @Test(arguments: Self.both)
  func neighboursStayApart(rules: MappingRules) throws {
    let f = fixture(rules)
    try f.map(Self.base, vaddr)
    try f.map(Self.base + page, vaddr + page)
    #expect(f.ranges.count == 2)
  }

  @Test(
    arguments: [
      (0xfee0_0000, 1), (0xfedf_f000, 2), (0xfeef_f000, 2), (0x7f_ffff_f000, 2),
      (0x80_0000_0000, 1),
      (0xffff_ffff_ffff_f000, 1),
    ] as [(UInt64, UInt64)])
  func outsideTheWindowsIsEINVAL(iova: UInt64, pages: UInt64) {
    let f = fixture(.type1v2)
    #expect(errno { () throws(Errno) in try f.map(iova, pages: pages) } == .invalidArgument)
  }

  @Test(arguments: [0, 0xfedf_f000, 0xfef0_0000, 0x7f_ffff_f000] as [UInt64])
  func edgesOfTheWindows(iova: UInt64) throws {
    try fixture(.type1v2).map(iova)
  }

  @Test(arguments: Self.both)
  func theLimitOrABadPageWhicheverComesFirst(rules: MappingRules) throws {
    let f = fixture(rules)
    func map(_ pages: UInt64, bad: UInt64?) -> Errno? {
      f.memory.mmap(vaddr, pages: 64)
      if let bad { f.memory.munmap(vaddr + bad * page, pages: 1) }
      return errno { () throws(Errno) in try f.map(0, pages: pages, limit: 8 * page) }
    }
    #expect(map(9, bad: nil) == .noMemory)
    #expect(map(12, bad: 10) == .noMemory)
    #expect(map(12, bad: 8) == .badAddress)
    #expect(map(12, bad: 3) == .badAddress)
    #expect(map(4, bad: 3) == .badAddress)
    #expect(f.memory.locked == 0)
    #expect(map(8, bad: nil) == nil)
    #expect(f.memory.locked == 8 * page)
  }

  // MARK: - Unmap

  struct Unmap: Sendable, CustomTestStringConvertible {
    var name: String
    /// First page and number of pages, from `base`.
    var mapped: [(UInt64, UInt64)] = [(0, 4)]
    var first: Int64
    var pages: UInt64
    /// Pages unmapped, nil for EINVAL.
    var v1: UInt64
    var v2: UInt64?

    var testDescription: String { name }
  }

  static let three: [(UInt64, UInt64)] = [(0, 2), (2, 2), (8, 1)]
  static let unmapCases: [Unmap] = [
    Unmap(name: "nothing there", mapped: [], first: 0, pages: 1, v1: 0, v2: 0),
    Unmap(name: "exact", first: 0, pages: 4, v1: 4, v2: 4),
    Unmap(name: "first page", first: 0, pages: 1, v1: 4, v2: nil),
    Unmap(name: "middle", first: 1, pages: 1, v1: 0, v2: nil),
    Unmap(name: "last page", first: 3, pages: 1, v1: 0, v2: nil),
    Unmap(name: "tail and beyond", first: 2, pages: 8, v1: 0, v2: nil),
    Unmap(name: "head and before", first: -4, pages: 6, v1: 4, v2: nil),
    Unmap(name: "larger", first: -1, pages: 16, v1: 4, v2: 4),
    Unmap(name: "two of three", mapped: three, first: 0, pages: 6, v1: 4, v2: 4),
    Unmap(name: "all three", mapped: three, first: 0, pages: 16, v1: 5, v2: 5),
    Unmap(name: "cutting the second", mapped: three, first: 0, pages: 3, v1: 4, v2: nil),
    Unmap(
      name: "from inside the first over the rest", mapped: three, first: 1, pages: 15, v1: 0,
      v2: nil),
    Unmap(name: "up to the last address", mapped: three, first: 0, pages: 1 << 40, v1: 5, v2: 5),
  ]

  @Test(arguments: Self.both, Self.unmapCases)
  func unmaps(rules: MappingRules, _ test: Unmap) throws {
    let f = fixture(rules)
    for (first, pages) in test.mapped { try f.map(Self.base + first * page, pages: pages) }
    let before = f.ranges
    let locked = f.memory.locked
    let iova = IOVA(UInt64(Int64(Self.base) + test.first * Int64(page)))
    let expected = rules == .type1 ? test.v1 : test.v2
    var unmapped: UInt64?
    let error = errno { () throws(Errno) in
      unmapped = try f.iommu.unmap(iova: iova, size: test.pages * page)
    }
    #expect(unmapped == expected.map { $0 * page })
    #expect(error == (expected == nil ? .invalidArgument : nil))
    #expect(f.memory.locked == locked - (expected ?? 0) * page)
    if (expected ?? 0) == 0 { #expect(f.ranges == before) }
  }

  @Test(arguments: Self.both)
  func badUnmaps(rules: MappingRules) throws {
    let f = fixture(rules)
    try f.map(Self.base, pages: 4)
    for (iova, size) in [
      (Self.base, 0), (Self.base, 1), (Self.base + 1, page), (0 &- page, 2 * page),
    ] as [(UInt64, UInt64)] {
      let error = errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(iova), size: size) }
      #expect(error == .invalidArgument)
    }
    #expect(try f.iommu.unmap(iova: IOVA(0 &- page), size: page) == 0)
    #expect(f.iommu.unmapAll() == 4 * page)
    #expect(f.iommu.unmapAll() == 0)
    #expect(f.memory.locked == 0)
  }

  // MARK: - Client addresses that move

  @Test func aMappingMovesToOtherMemory() throws {
    let f = fixture(.type1v2)
    let next = MemorySpace()
    next.mmap(0x1000, pages: 4)
    func update(_ iova: UInt64, pages: UInt64, limit: UInt64 = .max) -> Errno? {
      errno { () throws(Errno) in
        try f.iommu.updateVaddr(
          iova: IOVA(iova), vaddr: ClientAddress(0x1000), size: pages * page, memory: next,
          lockLimit: limit)
      }
    }
    #expect(update(Self.base, pages: 4) == .noSuchFileOrDirectory)
    try f.map(Self.base, pages: 4)
    #expect(update(Self.base, pages: 4) == .invalidArgument)
    #expect(try f.iommu.invalidateVaddrs(iova: IOVA(Self.base), size: 4 * page) == 4 * page)
    #expect(
      errno { () throws(Errno) in try f.iommu.invalidateAllVaddrs() } == .invalidArgument)
    #expect(f.write(Self.base, [1]) == nil)
    #expect(update(Self.base, pages: 3) == .invalidArgument)
    #expect(update(Self.base, pages: 4, limit: page) == .noMemory)
    #expect(f.memory.locked == 4 * page)
    #expect(update(Self.base, pages: 4) == nil)
    #expect(f.memory.locked == 0)
    #expect(next.locked == 4 * page)
    #expect(f.write(Self.base + 1, [7]) == nil)
    #expect(next.peek(0x1001) == 7)
    #expect(f.iommu.unmapAll() == 4 * page)
    #expect(next.locked == 0)
  }

  @Test func takingBackIsAllOrNothing() throws {
    let f = fixture(.type1v2)
    try f.map(Self.base)
    try f.map(Self.base + page)
    #expect(try f.iommu.invalidateVaddrs(iova: IOVA(Self.base + page), size: page) == page)
    #expect(
      errno { () throws(Errno) in
        try f.iommu.invalidateVaddrs(iova: IOVA(Self.base), size: 2 * page)
      } == .invalidArgument)
    #expect(f.iommu.mappings.map(\.isVaddrValid) == [true, false])
    #expect(f.iommu.unmapAll() == 2 * page)
    #expect(try f.iommu.invalidateAllVaddrs() == 0)
  }
}
