import Testing

@testable import ClientAccess

@Suite struct MemoryMapTests {
  private let text = Array(
    """
    00001000-00003000 r--p 00000000 08:01 42 /bin/x
    00003000-00005000 rw-p 00002000 08:01 42 /bin/x
    00006000-00007000 ---p 00000000 00:00 0
    7ffe00000000-7ffe00001000 rw-p 00000000 00:00 0 [stack]

    """.utf8)

  private func end(_ range: Range<UInt64>, writable: Bool) -> UInt64 {
    end(in: text, range, writable: writable)
  }

  private func end(in text: [UInt8], _ range: Range<UInt64>, writable: Bool) -> UInt64 {
    let range = ClientAddress(range.lowerBound)..<ClientAddress(range.upperBound)
    return (try? MemoryMap.end(in: text, of: range, writable: writable) { _ in })?.rawValue ?? 0
  }

  private func covers(_ range: Range<UInt64>, writable: Bool) -> Bool {
    end(range, writable: writable) == range.upperBound
  }

  @Test func withinOneMapping() {
    #expect(covers(0x1000..<0x3000, writable: false))
    #expect(covers(0x2fff..<0x3000, writable: false))
    #expect(covers(0x7ffe_0000_0000..<0x7ffe_0000_1000, writable: true))
  }

  @Test func acrossAdjacentMappings() {
    #expect(covers(0x1000..<0x5000, writable: false))
    #expect(!covers(0x1000..<0x5000, writable: true))
    #expect(covers(0x3000..<0x5000, writable: true))
  }

  @Test func holesAndProtections() {
    #expect(!covers(0x0000..<0x1000, writable: false))
    #expect(!covers(0x0fff..<0x2000, writable: false))
    #expect(!covers(0x4000..<0x5001, writable: false))
    #expect(!covers(0x6000..<0x7000, writable: false))
    #expect(!covers(0x7ffe_0000_0000..<0x7ffe_0000_1001, writable: false))
  }

  @Test func whereItEnds() {
    #expect(end(0x2000..<0x8000, writable: false) == 0x5000)
    #expect(end(0x1000..<0x5000, writable: true) == 0x1000)
    #expect(end(0x4000..<0x7000, writable: true) == 0x5000)
    #expect(end(0x6000..<0x7000, writable: false) == 0x6000)
  }

  @Test func nothingIsMappedInAnEmptyMap() {
    #expect(end(in: [], 0..<1, writable: false) == 0)
  }

  @Test func whatALineSays() throws {
    let line = Array("7f0000000000-7f0000002000 rw-s 00003000 00:1c 1234 /memfd:x (deleted)".utf8)
    let vma = try #require(VMA(line: line[...]))
    #expect(vma.start == 0x7f00_0000_0000 && vma.size == 0x2000)
    #expect(vma.isReadable && vma.isWritable && vma.isShared)
    #expect(vma.offset == 0x3000 && vma.inode == 1234)
    #expect(vma.deviceMajor == 0 && vma.deviceMinor == 0x1c)
    for bad in ["", "7f00-", "2-1 rw-p 0 0:0 0 ", "1-2 rw", "1-2 rw-p 0 0:0 0"] {
      #expect(VMA(line: Array(bad.utf8)[...]) == nil, "\(bad)")
    }
  }
}
