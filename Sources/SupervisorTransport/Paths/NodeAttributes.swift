import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// What stat and access say of emulated nodes.
struct NodeAttributes: Sendable {
  private let started = Int64(time(nil))
  let owners: NodeOwners

  init(_ owners: NodeOwners) {
    self.owners = owners
  }

  /// - Parameter mask: for a `struct statx`, nil for a `struct stat`.
  func bytes(
    of node: EmulatedNode, at path: String, followsLast: Bool, mask: UInt32?
  ) throws(Errno) -> [UInt8] {
    // A directory that the machine has too is the machine's.
    if case .directory(let directory) = node, !directory.isWhole,
      let real = try? bytes(ofReal: path, followsLast: followsLast, mask: mask)
    {
      return real
    }
    var c = cl_node()
    c.inode = Self.inode(path)
    c.seconds = started
    let owner = owners.owner(of: path)
    c.uid = owner.user
    c.gid = owner.group
    c.links = 1
    switch node {
    case .directory:
      c.mode = S_IFDIR | 0o755
      c.links = 2
    case .file(let file):
      c.mode = S_IFREG | file.mode & 0o777
      c.size = file.size
    case .link:
      c.mode = S_IFLNK | 0o777
    case .device(let device):
      c.mode = S_IFCHR | device.mode & 0o777
      c.rdev_major = device.major
      c.rdev_minor = device.minor
    }
    if let mode = owner.mode { c.mode = c.mode & S_IFMT | mode }
    return try Self.filled(mask) {
      mask == nil ? cl_stat_of_node(&c, $0) : cl_statx_of_node(&c, $0)
    }
  }

  func bytes(ofReal path: String, followsLast: Bool, mask: UInt32?) throws(Errno) -> [UInt8] {
    let flags = followsLast ? 0 : atSymlinkNoFollow
    return try Self.filled(mask) { out in
      if let mask {
        cl_statx_of_path(path, flags, mask, out)
      } else {
        cl_stat_of_path(path, flags, out)
      }
    }
  }

  /// Whether the caller may do to the node what `mode` asks (access(2)).
  func permits(
    _ node: EmulatedNode, at path: String, _ mode: Int32, to call: Call
  ) throws(Errno) -> Bool {
    let bits: UInt32
    switch node {
    case .directory, .link: return true
    case .file(let file): bits = file.mode
    case .device(let device): bits = device.mode
    }
    return try owners.permits(path, mode: bits, UInt32(bitPattern: mode)) { () throws(Errno) in
      try Credentials(of: call.thread)
    }
  }

  private static func filled(
    _ mask: UInt32?, _ body: (UnsafeMutableRawPointer?) -> Int32
  ) throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(CL_STATX_SIZE))
    // SAFETY: the C side writes no more than that size, for either structure.
    let n = bytes.withUnsafeMutableBytes { body($0.baseAddress) }
    bytes.removeLast(bytes.count - Int(try n.checked()))
    return bytes
  }

  /// The same number for the same path, FNV-1a.
  private static func inode(_ path: String) -> UInt64 {
    path.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
