import CFuse3
import Glibc
import Synchronization
import Sysfs

/// The nodes that the kernel knows by number, and what was changed about them.
///
/// A path always has the same number.
final class NodeTable: Sendable {
  /// What `chmod` and `chown` have set.
  struct Change {
    var permissions: mode_t?
    var owner: uid_t?
    var group: gid_t?
  }

  private struct Entry {
    var path: [String]
    /// How often the kernel was told of it and has not forgotten.
    var lookups: UInt64
  }

  private struct State {
    var entries: [UInt64: Entry] = [:]
    var changes: [UInt64: Change] = [:]
  }

  static let root = UInt64(FUSE_ROOT_ID)
  private let state = Mutex(State())

  /// FNV-1a.
  static func inode(of path: [String]) -> UInt64 {
    if path.isEmpty { return root }
    let text = path.joined(separator: "/").utf8
    let hash = text.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return hash > root ? hash : hash + 2
  }

  /// The path of a node that the kernel has; nil for one that it made up.
  func path(of inode: UInt64) -> [String]? {
    inode == Self.root ? [] : state.withLock { $0.entries[inode]?.path }
  }

  /// The kernel is told of `path`.
  func remember(_ path: [String]) -> UInt64 {
    let inode = Self.inode(of: path)
    state.withLock { $0.entries[inode, default: Entry(path: path, lookups: 0)].lookups += 1 }
    return inode
  }

  func forget(_ inode: UInt64, _ count: UInt64) {
    state.withLock { state in
      guard let entry = state.entries[inode] else { return }
      state.entries[inode] = entry.lookups > count ? entry : nil
      state.entries[inode]?.lookups -= count
    }
  }

  func change(_ inode: UInt64, _ change: (inout Change) -> Void) {
    state.withLock { change(&$0.changes[inode, default: Change()]) }
  }

  /// There is nothing at the path any more: what comes next starts anew.
  func reset(_ path: [String]) {
    state.withLock { state in
      if !state.changes.isEmpty { state.changes[Self.inode(of: path)] = nil }
    }
  }

  func attributes(of node: SysfsNode, _ inode: UInt64, started: timespec) -> stat {
    let change = state.withLock { $0.changes[inode] }
    var attributes = stat()
    attributes.st_ino = ino_t(inode)
    attributes.st_nlink = 1
    attributes.st_blksize = 4096
    (attributes.st_atim, attributes.st_mtim, attributes.st_ctim) = (started, started, started)
    switch node {
    case .directory: attributes.st_nlink = 2
    case .file(let file): attributes.st_size = off_t(clamping: file.size)
    case .symlink: break
    }
    attributes.st_mode = node.type | (change?.permissions ?? node.permissions.rawValue)
    attributes.st_uid = change?.owner ?? 0
    attributes.st_gid = change?.group ?? 0
    return attributes
  }
}

extension SysfsNode {
  /// The file type among the bits of `st_mode`.
  var type: mode_t {
    switch self {
    case .directory: S_IFDIR
    case .file: S_IFREG
    case .symlink: S_IFLNK
    }
  }
}
