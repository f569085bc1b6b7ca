import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// The path of a system call, with what it is relative to.
struct PathArgument {
  private static let longest = 4096
  private static let workingDirectory: Int32 = AT_FDCWD

  let path: String
  /// What it is relative to: an absolute path.
  let base: String
  /// Whether the kernel takes that to be somewhere else: in the scratch tree.
  let isFromScratch: Bool
  private let thread: ClientThread

  /// Copies the path in.
  ///
  /// - Returns: nil where it cannot lead to anything of ours: nearly always, and quickly.
  init?(
    _ call: Call, at address: UInt64, directory: UInt64, tree: CombinedTree, scratch: ScratchTree
  ) {
    thread = call.thread
    let scratchPath = scratch.path
    // Any name can be one of ours for those who are in a directory of ours.
    guard
      let (path, isLikely) = Self.interesting(ClientAddress(address), call.thread, tree),
      isLikely || scratchPath != nil
    else { return nil }
    self.path = path
    if path.hasPrefix("/") {
      (base, isFromScratch) = ("/", false)
      return
    }
    let number = Call.int(directory)
    let link = number == Self.workingDirectory ? "cwd" : "fd/\(number)"
    guard let real = ProcessLink.text("/proc/\(thread.id)/\(link)"), real.hasPrefix("/") else {
      return nil
    }
    let emulated = scratch.emulated(real)
    guard isLikely || emulated != nil else { return nil }
    (base, isFromScratch) = (emulated ?? real, emulated != nil)
  }

  /// Whether the caller's root directory is the one that we see.
  var isInOurRoot: Bool { Self.isInOurRoot(thread) }

  static func isInOurRoot(_ thread: ClientThread) -> Bool {
    ProcessLink.text("/proc/\(thread.id)/root") == "/"
  }

  /// The path, and whether its own text says that it may lead to one of ours.
  private typealias Found = (path: String, isLikely: Bool)

  private static func interesting(
    _ address: ClientAddress, _ thread: ClientThread, _ tree: CombinedTree
  ) -> Found? {
    withUnsafeTemporaryAllocation(byteCount: longest, alignment: 16) { buffer -> Found? in
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

  private static func decide(_ path: UnsafeRawBufferPointer, _ tree: CombinedTree) -> Found? {
    guard let first = path.first else { return nil }
    if hasDetour(path) { return (String(decoding: path, as: UTF8.self), true) }
    let start = first == slash ? 1 : 0
    let end = path[start...].firstIndex(of: slash) ?? path.endIndex
    let name = UnsafeRawBufferPointer(rebasing: path[start..<end])
    if first == slash {
      // A path without detours is ours by its first component alone.
      guard
        name.isEmpty || name.elementsEqual("dev".utf8) || name.elementsEqual("sys".utf8)
          || name.elementsEqual("proc".utf8) && ProcessLink.isLikely(path)
      else { return nil }
      return (String(decoding: path, as: UTF8.self), true)
    }
    let isLikely = tree.mayContain(String(decoding: name, as: UTF8.self)[...])
    return (String(decoding: path, as: UTF8.self), isLikely)
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
