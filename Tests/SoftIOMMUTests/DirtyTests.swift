import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

struct DirtyTests {
  private let base: UInt64 = 0x10_0000

  private func fixture(_ tracking: IOMMUOptions.DirtyTracking = .exact) throws -> Fixture {
    let options = IOMMUOptions(dirtyTracking: tracking)
    let f = Fixture(pages: 256, iommu: SoftIOMMU(rules: .type1v2, options: options))
    try f.map(base, pages: 8)
    return f
  }

  private func take(_ f: Fixture, _ iova: UInt64, pages: UInt64) throws(Errno) -> [UInt64] {
    var words: [UInt64] = []
    try f.iommu.takeDirtyBitmap(iova: IOVA(iova), size: pages * page) { offset, bytes in
      #expect(offset == words.count * 8)
      words += bytes.bindMemory(to: UInt64.self)
    }
    return words
  }

  @Test func onlyWhatWasWrittenOnce() throws {
    let f = try fixture()
    #expect(errno { () throws(Errno) in try take(f, base, pages: 8) } == .invalidArgument)
    _ = f.write(base, [1])
    f.iommu.startDirtyTracking()
    f.iommu.startDirtyTracking()
    #expect(try take(f, base, pages: 8) == [0])
    _ = f.read(base + 7 * page, 8)
    _ = f.write(base + 2 * page - 1, [1, 2])
    _ = f.write(base + 8 * page - 1, [1, 2])
    #expect(try take(f, base, pages: 8) == [0b1000_0110])
    #expect(try take(f, base, pages: 8) == [0])
    _ = f.write(base, [1])
    f.iommu.stopDirtyTracking()
    f.iommu.stopDirtyTracking()
    f.iommu.startDirtyTracking()
    #expect(try take(f, base, pages: 8) == [0])
  }

  @Test func aReadOnlyPageStaysClean() throws {
    let f = try fixture()
    try f.map(base + 8 * page, .read)
    f.iommu.startDirtyTracking()
    _ = f.write(base + 7 * page, [UInt8](repeating: 1, count: 2 * Int(page)))
    #expect(try take(f, base, pages: 16) == [0x80])
  }

  @Test func memoryThatIsGoneStaysClean() throws {
    let f = try fixture()
    f.iommu.startDirtyTracking()
    f.memory.munmap(vaddr + page, pages: 1)
    _ = f.write(base, [UInt8](repeating: 1, count: 3 * Int(page)))
    #expect(try take(f, base, pages: 8) == [0b101])
  }

  @Test func everythingWhereHardwareCannotTell() throws {
    let f = try fixture(.all)
    try f.map(base + 16 * page, .read)
    f.iommu.startDirtyTracking()
    #expect(try take(f, base - 4 * page, pages: 32) == [0x10_0ff0])
    #expect(try take(f, base, pages: 8) == [0xff])
  }

  @Test func badRanges() throws {
    let f = try fixture()
    f.iommu.startDirtyTracking()
    for (iova, size) in [
      (base, 4 * page), (base + page, 16 * page), (base + 1, 8 * page), (base, 0),
      (base, page + 1), (0 &- page, 2 * page), (0 &- page, page),
    ] {
      let error = errno { () throws(Errno) in
        try f.iommu.takeDirtyBitmap(iova: IOVA(iova), size: size) { _, _ in }
      }
      #expect(error == .invalidArgument)
    }
    #expect(try take(f, base - 4 * page, pages: 16) == [0])
    #expect(try take(f, 1 << 30, pages: 8) == [0])
  }

  @Test func aBitmapOfManyPartsAndShifts() throws {
    let f = Fixture(pages: 256, iommu: SoftIOMMU(rules: .type1v2))
    let far = base + (64 << 10) * 8 * page
    try f.map(base + 3 * page, pages: 130)
    try f.map(far + page, pages: 70)
    f.iommu.startDirtyTracking()
    for i in [3, 63, 64, 132] as [UInt64] { _ = f.write(base + i * page, [1]) }
    for i in [1, 70] as [UInt64] { _ = f.write(far + i * page, [1]) }
    let words = try take(f, base, pages: (64 << 10) * 8 + 128)
    #expect(words.count == 8192 + 2)
    #expect(words.indices.filter { words[$0] != 0 } == [0, 1, 2, 8192, 8193])
    #expect(words[0] == UInt64(1) << 63 | 1 << 3)
    #expect(words[1] == 1)
    #expect(words[2] == 1 << 4)
    #expect(words[8192] == 2)
    #expect(words[8193] == 1 << 6)
  }

  @Test func whatCannotBeDeliveredStaysDirty() throws {
    let f = try fixture()
    f.iommu.startDirtyTracking()
    _ = f.write(base + 5 * page, [1])
    let error = errno { () throws(Errno) in
      try f.iommu.takeDirtyBitmap(iova: IOVA(base), size: 8 * page) { _, _ throws(Errno) in
        throw .badAddress
      }
    }
    #expect(error == .badAddress)
    #expect(try take(f, base, pages: 8) == [1 << 5])
  }

  @Test func unmapGivesTheBitmap() throws {
    let f = try fixture()
    func unmap(_ size: UInt64, fails: Bool = false) throws(Errno) -> (UInt64, [UInt64]) {
      var words: [UInt64] = []
      let unmapped = try f.iommu.unmap(iova: IOVA(base), size: size) {
        (_, bytes) throws(Errno) in
        if fails { throw .badAddress }
        words = Array(bytes.bindMemory(to: UInt64.self))
      }
      return (unmapped, words)
    }
    #expect(errno { () throws(Errno) in try unmap(8 * page) } == .invalidArgument)
    f.iommu.startDirtyTracking()
    _ = f.write(base + page, [1])
    #expect(errno { () throws(Errno) in try unmap(4 * page) } == .invalidArgument)
    #expect(errno { () throws(Errno) in try unmap(8 * page, fails: true) } == .badAddress)
    #expect(f.ranges.count == 1)
    let (unmapped, words) = try unmap(8 * page)
    #expect(unmapped == 8 * page)
    #expect(words == [2])
    #expect(f.ranges.isEmpty)
    try f.map(base, pages: 8)
    #expect(try take(f, base, pages: 8) == [0])
  }

  @Test func plainUnmapForgets() throws {
    let f = try fixture()
    f.iommu.startDirtyTracking()
    _ = f.write(base + page, [1])
    try f.iommu.unmap(iova: IOVA(base), size: 8 * page)
    try f.map(base, pages: 8)
    #expect(try take(f, base, pages: 8) == [0])
  }
}
