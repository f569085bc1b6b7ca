import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// Makes nodes of the emulated tree real ones below a directory, and brings up to date what is there.
struct ScratchNodes {
  let tree: any EmulatedTree
  let owners: NodeOwners
  /// The directory that stands for `/`.
  let base: String
  /// Whether all was made once: then links to what is not there are looked after.
  let isComplete: Bool
  /// Where what is alike is already. Most files of devices are, and a file system makes another name much faster
  /// than another file.
  private var made: [Contents: String] = [:]

  /// What makes two nodes one.
  private enum Contents: Hashable {
    case link(String)
    case file([UInt8], mode: UInt32, user: UInt32, group: UInt32)
  }

  init(tree: any EmulatedTree, owners: NodeOwners, base: String, isComplete: Bool) {
    self.tree = tree
    self.owners = owners
    self.base = base
    self.isComplete = isComplete
  }

  /// Makes what is at `path`, with the directories above it and all below.
  ///
  /// - Throws: `ENOENT` where nothing is emulated, or why it could not be made.
  mutating func make(_ path: String) throws(Errno) {
    guard let node = tree.node(at: path) else { throw .noSuchFileOrDirectory }
    var parent = base
    for name in PathResolver.components(path).dropLast() {
      parent += "/\(name)"
      try makeDirectory(parent)
    }
    try make(node, path)
  }

  private mutating func make(_ node: EmulatedNode, _ path: String) throws(Errno) {
    let place = base + path
    switch node {
    case .directory(let directory): try fill(directory, path == "/" ? "" : path)
    case .link(let target):
      if !isMade(.link(target), at: place) { symlink(target, place) }
      if isComplete && access(place, F_OK) != 0 { makeTarget(of: target, path) }
    case .device(let device):
      let r = cl_make_node(place, device.mode)
      if r != -EEXIST { try r.checked() }
      set(owners.owner(of: path), device.mode, at: place)
    case .file(let file): try make(file, path)
    }
  }

  private mutating func make(_ file: EmulatedFile, _ path: String) throws(Errno) {
    let place = base + path
    let bytes = file.contents?() ?? []
    let owner = owners.owner(of: path)
    let contents = Contents.file(
      bytes, mode: owner.mode ?? file.mode, user: owner.user, group: owner.group)
    if isMade(contents, at: place) { return }
    let fd = try OwnedFD(path: place, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
    // SAFETY: the array's own storage, for the length of the call.
    _ = bytes.withUnsafeBytes { Glibc.write(fd.rawValue, $0.baseAddress, $0.count) }
    set(owner, file.mode, at: place)
  }

  /// Makes room for a node, or makes it where there is one like it. What a client has open of the old one stays as
  /// it is.
  ///
  /// - Returns: false where the caller has to make it.
  private mutating func isMade(_ contents: Contents, at place: String) -> Bool {
    unlink(place)
    if let other = made[contents], link(other, place) == 0 { return true }
    made[contents] = place
    return false
  }

  /// - Parameter path: empty for `/`.
  private mutating func fill(_ directory: EmulatedDirectory, _ path: String) throws(Errno) {
    let place = base + path
    try makeDirectory(place)
    let names = directory.names
    let known = Set(names)
    let real = directory.isWhole ? [] : Set(ScratchTree.names(in: path.isEmpty ? "/" : path))
    let old = Set(ScratchTree.names(in: place))
    for name in old where !known.contains(name) && !real.contains(name) {
      _ = cl_remove_tree("\(place)/\(name)")
    }
    for name in names {
      if let node = directory[name] { try make(node, "\(path)/\(name)") }
    }
    // The machine's own, by their absolute paths.
    for name in real where !known.contains(name) && !old.contains(name) {
      symlink("\(path)/\(name)", "\(place)/\(name)")
    }
  }

  /// Makes what a link leads to, as a device that came later.
  private mutating func makeTarget(of link: String, _ path: String) {
    let parent = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    let target = try? PathResolver(tree: tree)
      .resolve(link, in: String(parent), followsLast: true)
    guard case .node(var there, _)? = target else { return }
    // A directory on the way that is new is made whole: what is there is taken for made.
    while let slash = there.lastIndex(of: "/"), slash > there.startIndex,
      access(base + there[..<slash], F_OK) != 0
    {
      there = String(there[..<slash])
    }
    // What fails is not there.
    try? make(there)
  }

  private func makeDirectory(_ place: String) throws(Errno) {
    if mkdir(place, 0o755) == 0 {
      chmod(place, 0o755)
    } else if errno != EEXIST {
      throw Errno(rawValue: errno)
    }
  }

  /// Says of a node what stat(2) of it by its path says, whatever our umask is.
  private func set(_ owner: NodeOwners.Owner, _ mode: UInt32, at place: String) {
    _ = lchown(place, owner.user, owner.group)
    chmod(place, owner.mode ?? mode)
  }
}
