import ClientAccess
import Glibc
import Synchronization
import SystemPackage

/// Whose the emulated nodes are, and what their owner, group and others may do.
///
/// They belong to the user who runs us, until `chown` and `chmod` say something else.
final class NodeOwners: Sendable {
  struct Owner: Sendable {
    var user = geteuid()
    var group = getegid()
    /// Permission bits; nil for the node's own.
    var mode: UInt32?
  }

  private let ours = Owner()
  private let changes = Mutex<[String: Owner]>([:])
  /// Whether clients may be somebody else than we: only root can make them so.
  private let hasOthers = geteuid() == 0

  func owner(of path: String) -> Owner {
    changes.withLock { $0[path] } ?? ours
  }

  /// Whether `thread` may do to the machine's files what we may.
  func isLikeUs(_ thread: ClientThread) throws(Errno) -> Bool {
    if !hasOthers { return true }
    let caller = try Credentials(of: thread)
    return caller.user == geteuid() && caller.has(.overrideAccess)
  }

  /// The node at `path` is gone: another one starts anew.
  func forget(_ path: String) {
    changes.withLock { _ = $0.removeValue(forKey: path) }
  }

  /// Changes owner or group, `UInt32.max` for neither (`chown_ok` and `chgrp_ok` of fs/attr.c).
  ///
  /// - Throws: `EPERM` where the caller may not.
  func chown(_ path: String, _ user: UInt32, _ group: UInt32, by caller: Credentials) throws(Errno)
  {
    var owner = owner(of: path)
    let isOwner = caller.user == owner.user
    let mayUser = user == .max || isOwner && user == owner.user
    let mayGroup =
      group == .max || isOwner && (group == owner.group || caller.groups.contains(group))
    guard mayUser && mayGroup || caller.has(.changeOwner) else { throw .notPermitted }
    if user != .max { owner.user = user }
    if group != .max { owner.group = group }
    changes.withLock { $0[path] = owner }
  }

  /// - Throws: `EPERM` to others than the owner.
  func chmod(_ path: String, _ mode: UInt32, by caller: Credentials) throws(Errno) {
    var owner = owner(of: path)
    guard caller.user == owner.user || caller.has(.actAsOwner) else { throw .notPermitted }
    owner.mode = mode & 0o777
    changes.withLock { $0[path] = owner }
  }

  /// Whether `caller` may do to the node what `wanted` says, the bits of access(2).
  ///
  /// - Parameter mode: the node's own permission bits.
  func permits(
    _ path: String, mode: UInt32, _ wanted: UInt32, to caller: () throws(Errno) -> Credentials
  ) throws(Errno) -> Bool {
    let owner = owner(of: path)
    let bits = owner.mode ?? mode
    // The owner is all there is, mostly: nobody need be asked.
    if !hasOthers && owner.user == geteuid() { return wanted & 7 & ~(bits >> 6) == 0 }
    let caller = try caller()
    // Nobody may run what nobody may run (capabilities(7), CAP_DAC_OVERRIDE).
    if caller.has(.overrideAccess) { return wanted & 1 == 0 || bits & 0o111 != 0 }
    let shift: UInt32 = caller.user == owner.user ? 6 : caller.groups.contains(owner.group) ? 3 : 0
    return wanted & 7 & ~(bits >> shift) == 0
  }
}

/// As whom a thread acts on files, the kernel's `struct cred`.
struct Credentials: Sendable {
  /// Their numbers in linux/capability.h.
  enum Capability: UInt64 {
    case changeOwner = 0
    case overrideAccess = 1
    case actAsOwner = 3
  }

  var user: UInt32
  var groups: [UInt32]
  var capabilities: UInt64 = 0

  init(of thread: ClientThread) throws(Errno) {
    let status = try ProcFS.status(of: thread.id)
    user = status.fileUser
    groups = status.fileGroups
    // Those of another user namespace say nothing about us.
    if Self.namespace("/proc/\(thread.id)/ns/user") == Self.namespace("/proc/self/ns/user") {
      capabilities = status.effectiveCapabilities
    }
  }

  func has(_ capability: Capability) -> Bool {
    capabilities & 1 << capability.rawValue != 0
  }

  private static func namespace(_ path: String) -> UInt64? {
    var attributes = stat()
    return stat(path, &attributes) == 0 ? UInt64(attributes.st_ino) : nil
  }
}
