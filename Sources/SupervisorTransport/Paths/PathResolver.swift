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
    var done = Walk(tree.root)
    if !path.hasPrefix("/") { for name in Self.components(directory) { done.enter(name) } }
    // Next is last.
    var left: [Substring] = Self.components(path).reversed()
    let wantsDirectory = path.hasSuffix("/") || path.hasSuffix("/.") || path.hasSuffix("/..")
    var links = 0
    var isUnknown = isElsewhere && !path.hasPrefix("/")
    while let name = left.popLast() {
      if name == "." { continue }
      if name == ".." {
        done.leave()
        continue
      }
      let isWhole = done.directory?.isWhole ?? false
      done.enter(name)
      guard let node = done.node else {
        if isWhole { throw .noSuchFileOrDirectory }
        // It may lead back; links of the machine's own are not followed for that.
        if left.contains("..") { continue }
        if !isUnknown { return .untouched }
        return .real(Self.joined(done.names + left.reversed()))
      }
      switch node {
      case .directory: continue
      case .file, .device:
        if !left.isEmpty || wantsDirectory { throw .notDirectory }
      case .link(let target):
        if left.isEmpty && !wantsDirectory && !followsLast { return .node(path: done.path, node) }
        links += 1
        isUnknown = true
        if links > Self.linkLimit { throw .tooManySymbolicLinkLevels }
        if target.hasPrefix("/") { done = Walk(tree.root) } else { done.leave() }
        left.append(contentsOf: Self.components(target).reversed())
      }
    }
    if let node = done.node { return .node(path: done.path, node) }
    return isUnknown ? .real(done.path) : .untouched
  }

  /// How far we are, with what was found on the way: each name is looked up once, in its directory.
  private struct Walk {
    private let root: EmulatedDirectory
    private var steps: [(name: Substring, node: EmulatedNode?)] = []

    init(_ root: EmulatedDirectory) {
      self.root = root
    }

    /// Nil where nothing is emulated.
    var node: EmulatedNode? { steps.isEmpty ? .directory(root) : steps.last?.node }
    var directory: EmulatedDirectory? {
      if case .directory(let directory) = node { directory } else { nil }
    }
    var names: [Substring] { steps.map(\.name) }
    var path: String { joined(names) }

    mutating func enter(_ name: Substring) {
      steps.append((name, directory?[String(name)]))
    }

    /// The root's parent is the root.
    mutating func leave() {
      _ = steps.popLast()
    }
  }

  static func components(_ path: String) -> [Substring] {
    path.split(separator: "/")
  }

  static func joined(_ components: [Substring]) -> String {
    components.isEmpty ? "/" : components.reduce(into: "") { $0 += "/" + $1 }
  }
}
