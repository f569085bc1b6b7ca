import SystemPackage

/// Finds what a path means where a part of the file system is emulated. Calls nothing.
struct PathResolver: Sendable {
  /// As many links as the kernel follows.
  private static let linkLimit = 40

  enum Result {
    /// Nothing of the path is emulated: the kernel knows it.
    case untouched
    /// It leads to this node.
    case node(path: String, EmulatedNode)
    /// It leads to this path of the machine, by a way that the kernel does not know.
    case real(String)
  }

  let tree: any EmulatedTree

  /// - Parameters:
  ///   - path: as the client wrote it, not empty.
  ///   - directory: what it is relative to, an absolute path.
  ///   - isElsewhere: whether the kernel takes that directory to be another one.
  ///   - followsLast: whether a link at the very end is followed.
  /// - Throws: `ENOENT`, `ENOTDIR` or `ELOOP` where the path breaks off in the emulated part.
  func resolve(
    _ path: String, in directory: String, isElsewhere: Bool = false, followsLast: Bool
  ) throws(Errno) -> Result {
    var done: [Substring] = path.hasPrefix("/") ? [] : Self.components(directory)
    // Next is last.
    var left: [Substring] = Self.components(path).reversed()
    let wantsDirectory = path.hasSuffix("/") || path.hasSuffix("/.") || path.hasSuffix("/..")
    var links = 0
    var isUnknown = isElsewhere && !path.hasPrefix("/")
    while let name = left.popLast() {
      if name == "." { continue }
      if name == ".." {
        _ = done.popLast()
        continue
      }
      let parent = tree.node(at: Self.joined(done))
      done.append(name)
      let here = Self.joined(done)
      guard let node = tree.node(at: here) else {
        if case .directory(_, isWhole: true) = parent { throw .noSuchFileOrDirectory }
        // It may lead back; links of the machine's own are not followed for that.
        if left.contains("..") { continue }
        if !isUnknown { return .untouched }
        return .real(Self.joined(done + left.reversed()))
      }
      switch node {
      case .directory: continue
      case .file, .device:
        if !left.isEmpty || wantsDirectory { throw .notDirectory }
      case .link(let target):
        if left.isEmpty && !wantsDirectory && !followsLast { return .node(path: here, node) }
        links += 1
        isUnknown = true
        if links > Self.linkLimit { throw .tooManySymbolicLinkLevels }
        if target.hasPrefix("/") { done.removeAll() } else { done.removeLast() }
        left.append(contentsOf: Self.components(target).reversed())
      }
    }
    let here = Self.joined(done)
    if let node = tree.node(at: here) { return .node(path: here, node) }
    return isUnknown ? .real(here) : .untouched
  }

  static func components(_ path: String) -> [Substring] {
    path.split(separator: "/")
  }

  static func joined(_ components: [Substring]) -> String {
    components.isEmpty ? "/" : components.reduce(into: "") { $0 += "/" + $1 }
  }
}
