import CLinux
import ClientAccess
import SystemPackage

/// A link in /proc to a process's working directory or to what it has open.
struct ProcessLink {
  enum Target: Equatable {
    case workingDirectory
    case descriptor(Int32)
  }

  /// Whose: a process or a thread.
  let owner: ClientThread
  let target: Target

  /// - Parameters:
  ///   - path: absolute, as the caller wrote it.
  /// - Returns: nil for any other path.
  init?(_ path: String, caller: ClientThread) {
    var names = path.split(separator: "/")[...]
    switch names.popFirst() {
    case "proc": break
    case "dev":
      switch names.first {
      case "fd": names = ["self", "fd"] + names.dropFirst()
      case "stdin" where names.count == 1: names = ["self", "fd", "0"]
      case "stdout" where names.count == 1: names = ["self", "fd", "1"]
      case "stderr" where names.count == 1: names = ["self", "fd", "2"]
      default: return nil
      }
    default: return nil
    }
    switch names.popFirst() {
    case "self", "thread-self": owner = caller
    case let name?:
      // The same number is another process where the caller has another pid namespace.
      guard let number = Int32(name), number > 0,
        Self.text("/proc/\(caller.id)/ns/pid") == Self.text("/proc/self/ns/pid")
      else { return nil }
      owner = ClientThread(id: number)
    case nil: return nil
    }
    switch (names.first, names.count) {
    case ("cwd", 1): target = .workingDirectory
    case ("fd", 2):
      guard let number = names.last.flatMap({ Int32($0) }), number >= 0 else { return nil }
      target = .descriptor(number)
    default: return nil
    }
  }

  /// Where it leads, as the kernel says.
  var text: String? {
    switch target {
    case .workingDirectory: Self.text("/proc/\(owner.id)/cwd")
    case .descriptor(let number): Self.text("/proc/\(owner.id)/fd/\(number)")
    }
  }

  /// The text of a link of the machine's.
  static func text(_ path: String) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { text in
      // SAFETY: the C side writes at most `count` bytes, NUL included.
      let n = Int(cl_readlink(path, text.baseAddress, Int32(text.count)))
      guard n >= 0 else { return nil }
      return String(decoding: UnsafeRawBufferPointer(text)[..<n], as: UTF8.self)
    }
  }

  /// Whether a path in /proc, without detours, may be one: a fast no.
  static func isLikely(_ path: UnsafeRawBufferPointer) -> Bool {
    path.suffix(4).elementsEqual("/cwd".utf8)
      || path.dropLast().lastIndex(of: UInt8(ascii: "/")).map {
        path[..<$0].suffix(3).elementsEqual("/fd".utf8)
      } ?? false
  }
}
