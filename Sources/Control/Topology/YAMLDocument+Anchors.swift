extension YAMLDocument {
  /// Refuses anchors of lists and mappings.
  ///
  /// Their aliases could nest without limit, past the limit of the parser, or name one list a billion
  /// times: a small file that exhausts the stack or the time of whoever walks or frees the nodes. An
  /// alias of a single value is harmless.
  ///
  /// A text in quotes or a comment that looks like such an anchor is refused as well: only the parser
  /// could tell, and it must not see the file.
  static func checkAnchors(in bytes: [UInt8], file: String) throws(TopologyError) {
    var rest = bytes[...]
    while let anchor = rest.firstIndex(of: UInt8(ascii: "&")) {
      let name = bytes[(anchor + 1)...].prefix { isLetter($0) || $0 == UInt8(ascii: "-") }
      rest = bytes[name.endIndex...]
      let isToken = anchor == 0 || !isLetter(bytes[anchor - 1])
      if isToken, !name.isEmpty, !startsSingleValue(rest) {
        let before = bytes[..<anchor]
        let line = before.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        throw TopologyError(
          file: file, line: line.count,
          column: line.last.map { String(decoding: $0, as: UTF8.self).unicodeScalars.count + 1 },
          problem: "\(quoted("&" + String(decoding: name, as: UTF8.self))) is not followed by a "
            + "single value in its line; put anchors before single values only")
      }
    }
  }

  /// What an anchor's name consists of, besides `-`. Right behind one of these, `&` is part of a text.
  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Whether what follows an anchor cannot be a list or a mapping. A tag may stand before one, and so
  /// may a line break, of which Unicode has more than ASCII.
  private static func startsSingleValue(_ rest: ArraySlice<UInt8>) -> Bool {
    let value = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    guard let first = value.first else { return false }
    return first < 0x80 && !"[{!#\n\r".utf8.contains(first)
  }
}
