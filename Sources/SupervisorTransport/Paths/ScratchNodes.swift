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
  var isComplete = false

  /// Makes what is at `path`, with the directories above it and all below.
  ///
  /// - Throws: `ENOENT` where nothing is emulated, or why it could not be made.
  func make(_ path: String) throws(Errno) {
    guard let node = tree.node(at: path) else { throw .noSuchFileOrDirectory }
    var parent = base
    for name in PathResolver.components(path).dropLast() {
      parent += "/\(name)"
      try makeDirectory(parent)
    }
    try make(node, path)
  }

  private func make(_ node: EmulatedNode, _ path: String) throws(Errno) {
    let place = base + path
    switch node {
    case .directory(let directory): try fill(directory, path == "/" ? "" : path)
    case .link(let target):
      unlink(place)
      symlink(target, place)
      if isComplete && access(place, F_OK) != 0 { makeTarget(of: target, path) }
    case .device(let device):
      let r = cl_make_node(place, device.mode)
      if r != -EEXIST { try r.checked() }
      setAttributes(path, at: place, mode: device.mode)
    case .file(let file):
      // What a client has open of it stays as it is.
      unlink(place)
      let fd = try OwnedFD(path: place, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
      let bytes = file.contents?() ?? []
      // SAFETY: the array's own storage, for the length of the call.
      _ = bytes.withUnsafeBytes { Glibc.write(fd.rawValue, $0.baseAddress, $0.count) }
      setAttributes(path, at: place, mode: file.mode)
    }
  }

  /// - Parameter path: empty for `/`.
  private func fill(_ directory: EmulatedDirectory, _ path: String) throws(Errno) {
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
  private func makeTarget(of link: String, _ path: String) {
    let parent = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    let target = try? PathResolver(tree: tree)
      .resolve(link, in: String(parent), followsLast: true)
    // What fails is not there.
    if case .node(let there, _)? = target { try? make(there) }
  }

  private func makeDirectory(_ place: String) throws(Errno) {
    if mkdir(place, 0o755) == 0 {
      chmod(place, 0o755)
    } else if errno != EEXIST {
      throw Errno(rawValue: errno)
    }
  }

  /// Says of the node at `path` what stat(2) of it by its path says, whatever our umask is.
  private func setAttributes(_ path: String, at place: String, mode: UInt32) {
    let owner = owners.owner(of: path)
    _ = lchown(place, owner.user, owner.group)
    chmod(place, owner.mode ?? mode)
  }
}
