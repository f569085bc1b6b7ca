import Testing

@testable import ClientAccess

@Suite struct MemoryMapTests {
  private let map = MemoryMap(
    text: Array(
      """
      00001000-00003000 r--p 00000000 08:01 42 /bin/x
      00003000-00005000 rw-p 00002000 08:01 42 /bin/x
      00006000-00007000 ---p 00000000 00:00 0
      7ffe00000000-7ffe00001000 rw-p 00000000 00:00 0 [stack]

      """.utf8))

  private func end(_ range: Range<UInt64>, writable: Bool) -> UInt64 {
    map.end(
      of: ClientAddress(range.lowerBound)..<ClientAddress(range.upperBound), writable: writable
    ).rawValue
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
    let nothing = MemoryMap(text: [])
    #expect(
      nothing.end(of: ClientAddress(0)..<ClientAddress(1), writable: false) == ClientAddress(0))
  }
}
