import CFuse3
import Glibc
import Synchronization
import Sysfs

/// The nodes that the kernel knows by number, and what was changed about them.
///
/// A path always shows the same inode. The kernel's own number of a node can be another: it keeps every writer of
/// a FUSE file waiting for the one before (`fuse_direct_write_iter` of fs/fuse/file.c), so that each look at a
/// file that can be written makes a node of its own.
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
    var last = root
  }

  static let root = UInt64(FUSE_ROOT_ID)
  private let state = Mutex(State())

  /// FNV-1a, and nothing that counting comes to.
  static func inode(of path: [String]) -> UInt64 {
    if path.isEmpty { return root }
    let text = path.joined(separator: "/").utf8
    let hash = text.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return hash | 1 << 63
  }

  /// The path of a node that the kernel has; nil for one that it made up.
  func path(of number: UInt64) -> [String]? {
    number == Self.root ? [] : state.withLock { $0.entries[number]?.path }
  }

  /// The kernel is told of the node at `path`.
  func remember(_ node: SysfsNode, at path: [String]) -> UInt64 {
    state.withLock { state in
      var number = Self.inode(of: path)
      if case .file(let file) = node, file.write != nil {
        state.last += 1
        number = state.last
      }
      state.entries[number, default: Entry(path: path, lookups: 0)].lookups += 1
      return number
    }
  }

  func forget(_ number: UInt64, _ count: UInt64) {
    state.withLock { state in
      guard let entry = state.entries[number] else { return }
      state.entries[number] = entry.lookups > count ? entry : nil
      state.entries[number]?.lookups -= count
    }
  }

  func change(_ path: [String], _ change: (inout Change) -> Void) {
    state.withLock { change(&$0.changes[Self.inode(of: path), default: Change()]) }
  }

  /// There is nothing at the path any more: what comes next starts anew.
  func reset(_ path: [String]) {
    state.withLock { state in
      if !state.changes.isEmpty { state.changes[Self.inode(of: path)] = nil }
    }
  }

  func attributes(of node: SysfsNode, at path: [String], started: timespec) -> stat {
    let inode = Self.inode(of: path)
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
