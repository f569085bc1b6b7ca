import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage

/// The emulated directories as real ones, in a temporary directory.
///
/// A client that opens one has a descriptor of a real directory: listing it and looking up relative to it
/// is then the kernel's work. Made when first needed; brought up to date at every open. Whoever makes one
/// removes those whose maker was killed.
final class ScratchTree: Sendable {
  private let tree: any EmulatedTree
  private let owners: NodeOwners
  private let place: String
  private let root = Mutex<String?>(nil)
  /// Locked as long as we live.
  private let lock = Mutex<Int32>(-1)

  /// Of no other directory's name: what has it and is not locked is removed.
  private static let prefix = "vfio-cused-run-scratch."

  /// - Parameter place: an existing directory to make it in.
  init(_ tree: any EmulatedTree, owners: NodeOwners, in place: String) {
    self.tree = tree
    self.owners = owners
    self.place = place
  }

  /// Where it is, once there is one.
  var path: String? { root.withLock { $0 } }

  /// The emulated path that a real one stands for; nil where it is none of ours.
  func emulated(_ path: String) -> String? {
    guard let base = self.path, path == base || path.hasPrefix(base + "/") else { return nil }
    return path == base ? "/" : String(path.dropFirst(base.count))
  }

  /// Opens what stands for `path`.
  ///
  /// - Parameter directory: the directory whose names must be complete.
  func open(_ path: String, _ flags: Int32, listing directory: String?) throws(Errno) -> OwnedFD {
    let result: Result<OwnedFDBox, Errno> = root.withLock { root in
      do throws(Errno) {
        if root == nil {
          let base = try make()
          root = base
          // All of it once, for links that lead from one place to another.
          try sync("/", base, listing: directory)
        }
        guard let base = root else { throw .noSuchFileOrDirectory }
        var parent = base
        for name in path.split(separator: "/").dropLast() {
          parent += "/\(name)"
          try makeDirectory(parent)
        }
        if let directory {
          try sync(directory, base, listing: directory)
        } else {
          try make(path, at: base + path, base, listing: nil)
        }
        return .success(OwnedFDBox(try OwnedFD(path: base + path, flags)))
      } catch {
        return .failure(error)
      }
    }
    return try result.get().take()
  }

  func remove() {
    root.withLock { root in
      if let path = root { _ = cl_remove_tree(path) }
      root = nil
    }
    lock.withLock { lock in
      if lock >= 0 { _ = cl_close(lock) }
      lock = -1
    }
  }

  private func make() throws(Errno) -> String {
    removeForgotten()
    // Somebody who removes forgotten ones may take a new one for such, until it is locked.
    for _ in 0..<100 {
      var template = Array("\(place)/\(Self.prefix)XXXXXX".utf8CString)
      // SAFETY: a NUL-terminated string of our own, changed in place.
      let isMade = template.withUnsafeMutableBufferPointer {
        $0.baseAddress.map { mkdtemp($0) } ?? nil != nil
      }
      guard isMade else { throw Errno(rawValue: errno) }
      let path = String(
        decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if let locked = Self.locked(path) {
        lock.withLock { $0 = locked }
        return path
      }
    }
    throw .resourceTemporarilyUnavailable
  }

  /// A descriptor that holds the lock on a directory which is still there; nil where somebody else does.
  private static func locked(_ path: String) -> Int32? {
    guard let directory = try? OwnedFD(path: path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
      flock(directory.rawValue, LOCK_EX | LOCK_NB) == 0, access(path, F_OK) == 0
    else { return nil }
    return directory.relinquish()
  }

  private func removeForgotten() {
    for name in Self.names(in: place) where name.hasPrefix(Self.prefix) {
      let path = "\(place)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0, status.st_uid == geteuid(), let lock = Self.locked(path)
      else { continue }
      _ = cl_remove_tree(path)
      _ = cl_close(lock)
    }
  }

  /// Makes the directory at `path` of the tree what it should be, below `base`.
  private func sync(_ path: String, _ base: String, listing: String?) throws(Errno) {
    guard case .directory(let names, let isWhole) = tree.node(at: path) else { return }
    let place = path == "/" ? base : base + path
    try makeDirectory(place)
    let real = !isWhole && path == listing ? Self.names(in: path) : []
    let old = Self.names(in: place)
    for name in old where !names.contains(name) && (isWhole || path == listing) {
      if !real.contains(name) { _ = cl_remove_tree("\(place)/\(name)") }
    }
    for name in names {
      let inner = path == "/" ? "/\(name)" : "\(path)/\(name)"
      try make(inner, at: base + inner, base, listing: listing)
    }
    // The machine's own, by their absolute paths.
    for name in real where !names.contains(name) && !old.contains(name) {
      symlink(path == "/" ? "/\(name)" : "\(path)/\(name)", "\(place)/\(name)")
    }
  }

  private func make(
    _ path: String, at place: String, _ base: String, listing: String?
  ) throws(Errno) {
    switch tree.node(at: path) {
    case nil: return
    case .directory: try sync(path, base, listing: listing)
    case .link(let target):
      unlink(place)
      symlink(target, place)
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

  /// The names in a directory, but `.` and `..`.
  static func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      // SAFETY: the entry is valid until the next readdir, and its name ends with a NUL.
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}

/// Carries a descriptor through a `Result`, which wants something copyable.
private final class OwnedFDBox {
  private var fd: Int32

  init(_ fd: consuming OwnedFD) {
    self.fd = fd.relinquish()
  }

  func take() -> OwnedFD {
    defer { fd = -1 }
    return OwnedFD(owning: fd)
  }

  deinit {
    if fd >= 0 { _ = cl_close(fd) }
  }
}
