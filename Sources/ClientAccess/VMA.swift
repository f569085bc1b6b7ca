import CLinux
import SystemPackage

/// One mapping of a client's memory, as the kernel has it.
public struct VMA: Hashable, Sendable {
  public var start: UInt64
  public var end: UInt64
  var isReadable: Bool
  var isWritable: Bool
  var isShared: Bool
  /// Where in its file it begins, in bytes.
  public var offset: UInt64
  public var deviceMajor: UInt32
  public var deviceMinor: UInt32
  /// 0 where there is no file.
  public var inode: UInt64

  var size: UInt64 { end - start }

  init(_ c: cl_vma) {
    start = c.start
    end = c.end
    isReadable = c.is_readable
    isWritable = c.is_writable
    isShared = c.is_shared
    offset = c.offset
    deviceMajor = c.dev_major
    deviceMinor = c.dev_minor
    inode = c.inode
  }

  /// Reads a line of `/proc/<pid>/maps`: `7f0000000000-7f0000001000 rw-p 00000000 08:01 42 /bin/x`.
  init?(line: ArraySlice<UInt8>) {
    var i = line.startIndex
    func number(radix: UInt64, until stop: UInt8) -> UInt64? {
      var value: UInt64 = 0
      while i < line.endIndex, let digit = line[i].hexDigit, digit < radix {
        value = value &* radix &+ digit
        i += 1
      }
      guard i < line.endIndex, line[i] == stop else { return nil }
      i += 1
      return value
    }
    let (dash, space, colon) = (UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: ":"))
    guard let start = number(radix: 16, until: dash), let end = number(radix: 16, until: space),
      start < end, i + 5 <= line.endIndex
    else { return nil }
    isReadable = line[i] == UInt8(ascii: "r")
    isWritable = line[i + 1] == UInt8(ascii: "w")
    isShared = line[i + 3] == UInt8(ascii: "s")
    i += 5
    guard let offset = number(radix: 16, until: space), let major = number(radix: 16, until: colon),
      let minor = number(radix: 16, until: space), let inode = number(radix: 10, until: space)
    else { return nil }
    self.start = start
    self.end = end
    self.offset = offset
    deviceMajor = UInt32(truncatingIfNeeded: major)
    deviceMinor = UInt32(truncatingIfNeeded: minor)
    self.inode = inode
  }
}
