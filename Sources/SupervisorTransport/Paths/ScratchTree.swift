import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage

/// The emulated directories as real ones, in a temporary directory.
///
/// A client that opens one has a descriptor of a real directory: listing it and looking up relative to it
/// is then the kernel's work. `/sys` or `/dev` is made when the first of its directories is opened, and each is
/// brought up to date, with all below it, whenever it is opened. Whoever makes one removes those whose maker was
/// killed.
final class ScratchTree: Sendable {
  private let tree: any EmulatedTree
  private let owners: NodeOwners
  private let place: String
  private let root = Mutex<String?>(nil)
  /// What there is all of: `sys`, `dev`. Held while nodes are made, which others need not wait for.
  private let made = Mutex<Set<Substring>>([])
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

  /// Opens what stands for `path`; a directory's names are complete.
  ///
  /// - Throws: `ENOENT` where there is nothing, or why it could not be made.
  func open(_ path: String, _ flags: Int32) throws(Errno) -> OwnedFD {
    let result: Result<OwnedFDBox, Errno> = made.withLock { made in
      do throws(Errno) {
        let base: String
        if let known = self.path { base = known } else { base = try make() }
        root.withLock { $0 = base }
        // From any directory links and `..` lead to others, and the kernel follows them without asking us.
        let whole = PathResolver.components(path).first.flatMap { made.contains($0) ? nil : $0 }
        var nodes = ScratchNodes(
          tree: tree, owners: owners, base: base, isComplete: whole == nil)
        try nodes.make(whole.map { "/\($0)" } ?? path)
        if let whole { made.insert(whole) }
        return .success(OwnedFDBox(try OwnedFD(path: base + path, flags)))
      } catch {
        return .failure(error)
      }
    }
    return try result.get().take()
  }

  func remove() {
    made.withLock { made in
      if let path { _ = cl_remove_tree(path) }
      root.withLock { $0 = nil }
      made = []
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
