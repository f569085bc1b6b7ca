/// The text of `/proc/<pid>/maps`, as far as pinning pages needs it.
struct MemoryMap {
  private let text: [UInt8]

  init(text: [UInt8]) {
    self.text = text
  }

  /// How far `range` is mapped readable, and writable where asked: its upper bound when all of it is.
  func end(of range: Range<ClientAddress>, writable: Bool) -> ClientAddress {
    var next = range.lowerBound.rawValue
    let end = range.upperBound.rawValue
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if next >= end { break }
      guard let entry = Entry(line), entry.end > next else { continue }
      guard entry.start <= next, entry.readable, entry.writable || !writable else { break }
      next = entry.end
    }
    return ClientAddress(min(next, end))
  }

  /// `7f0000000000-7f0000001000 rw-p …`
  private struct Entry {
    var start: UInt64 = 0
    var end: UInt64 = 0
    var readable = false
    var writable = false

    init?(_ line: ArraySlice<UInt8>) {
      var i = line.startIndex
      func number(until stop: UInt8) -> UInt64? {
        var value: UInt64 = 0
        while i < line.endIndex, let digit = line[i].hexDigit {
          value = value &<< 4 | digit
          i += 1
        }
        guard i < line.endIndex, line[i] == stop else { return nil }
        i += 1
        return value
      }
      guard let start = number(until: UInt8(ascii: "-")),
        let end = number(until: UInt8(ascii: " ")), i + 1 < line.endIndex
      else { return nil }
      self.start = start
      self.end = end
      readable = line[i] == UInt8(ascii: "r")
      writable = line[i + 1] == UInt8(ascii: "w")
    }
  }
}
