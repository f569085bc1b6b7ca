import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// The path of a system call, with what it is relative to.
struct PathArgument {
  private static let longest = 4096
  private static let workingDirectory: Int32 = AT_FDCWD

  let path: String
  private let directory: Int32
  private let thread: ClientThread

  /// Copies the path in.
  ///
  /// - Parameter tree: what it might lead to.
  /// - Returns: nil where that is impossible: nearly always, and quickly.
  init?(_ call: Call, at address: UInt64, directory: UInt64, tree: some EmulatedTree) {
    thread = call.thread
    self.directory = Call.int(directory)
    guard let path = Self.interesting(ClientAddress(address), call.thread, tree) else { return nil }
    self.path = path
  }

  /// The absolute path that ours is relative to; nil where it cannot be told.
  ///
  /// - Parameter scratch: where the emulated directories that clients have open really are.
  func base(scratch: String?) -> String? {
    if path.hasPrefix("/") { return "/" }
    let link = directory == Self.workingDirectory ? "cwd" : "fd/\(directory)"
    guard let base = Self.link("/proc/\(thread.id)/\(link)"), base.hasPrefix("/") else {
      return nil
    }
    guard let scratch, base == scratch || base.hasPrefix(scratch + "/") else { return base }
    let inner = String(base.dropFirst(scratch.count))
    return inner.isEmpty ? "/" : inner
  }

  /// Whether the caller's root directory is the one that we see.
  var isInOurRoot: Bool {
    Self.link("/proc/\(thread.id)/root") == "/"
  }

  private static func link(_ path: String) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: longest) { text in
      // SAFETY: the C side writes at most `count` bytes, NUL included.
      let n = Int(cl_readlink(path, text.baseAddress, Int32(text.count)))
      guard n >= 0 else { return nil }
      return String(decoding: UnsafeRawBufferPointer(text)[..<n], as: UTF8.self)
    }
  }

  private static func interesting(
    _ address: ClientAddress, _ thread: ClientThread, _ tree: some EmulatedTree
  ) -> String? {
    withUnsafeTemporaryAllocation(byteCount: longest, alignment: 16) { buffer -> String? in
      var count = 0
      // Never across a page that the string may not reach; little at first, since most are short.
      while count < longest {
        guard let next = address.advanced(by: UInt64(count)) else { return nil }
        let toPageEnd = longest - Int(next.rawValue % UInt64(longest))
        let size = min(toPageEnd, longest - count, count == 0 ? 256 : longest)
        // SAFETY: the range lies within the buffer.
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + size])
        guard (try? thread.read(next, into: piece)) != nil else { return nil }
        if let end = piece.firstIndex(of: 0) {
          return decide(UnsafeRawBufferPointer(rebasing: buffer[..<(count + end)]), tree)
        }
        count += size
      }
      return nil
    }
  }

  private static func decide(_ path: UnsafeRawBufferPointer, _ tree: some EmulatedTree) -> String? {
    guard let first = path.first else { return nil }
    if first == slash {
      // A path without detours is ours by its first component alone.
      if !hasDetour(path) {
        let end = path.dropFirst().firstIndex(of: slash) ?? path.endIndex
        let name = UnsafeRawBufferPointer(rebasing: path[1..<end])
        if !name.elementsEqual("dev".utf8) && !name.elementsEqual("sys".utf8) && !name.isEmpty {
          return nil
        }
      }
    } else if !hasDetour(path) {
      let end = path.firstIndex(of: slash) ?? path.endIndex
      let name = String(decoding: path[..<end], as: UTF8.self)
      if !tree.mayContain(name[...]) { return nil }
    }
    return String(decoding: path, as: UTF8.self)
  }

  private static let slash = UInt8(ascii: "/")
  private static let dot = UInt8(ascii: ".")

  /// Whether a component is `..`, or empty: the path does not say by itself where it leads.
  private static func hasDetour(_ path: UnsafeRawBufferPointer) -> Bool {
    var previous: UInt8 = slash
    for (i, byte) in path.enumerated() {
      if previous == slash && i > 0 && byte == slash { return true }
      if previous == slash && byte == dot && i + 1 < path.count
        && path[i + 1] == dot && (i + 2 == path.count || path[i + 2] == slash)
      {
        return true
      }
      previous = byte
    }
    return false
  }
}
