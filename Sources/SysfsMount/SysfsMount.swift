import CFuse3
package import FUSESessions
import Glibc
package import Logging
package import Sysfs
import SystemPackage
package import Threads
package import Transport
import VFIOCore

/// The emulated `/sys` as a FUSE file system, for everybody on the machine: in place of sysfs where it is bound
/// over `/sys`.
///
/// Nothing is cached: every look asks the tree. Permissions are the kernel's business (`default_permissions`)
/// but for what not even root may do.
///
/// @unchecked: `session` is set once, by `start`, before there are requests.
package final class SysfsMount: SessionHandler, @unchecked Sendable {
  /// What sysfs takes of one write (fs/kernfs/file.c).
  private static let writeLimit = 4096

  private let path: String
  private let machine: String
  private let tree: MergedTree
  private let pool: SessionPool
  private let work: WorkPool
  private let logger: Logger
  private let table = NodeTable()
  private let started = timespec(tv_sec: time(nil), tv_nsec: 0)
  private weak var session: FUSESession?

  /// - Parameters:
  ///   - path: where to mount it; made where it is missing.
  ///   - machine: where the machine's own `/sys` is to be seen from then on, a directory of ours.
  ///   - work: threads for what writing does.
  package init(
    _ tree: SysfsTree, at path: String, machine: String, pool: SessionPool, work: WorkPool,
    logger: Logger
  ) {
    self.path = path
    self.machine = machine
    self.tree = MergedTree(tree: tree, machine: machine)
    self.pool = pool
    self.work = work
    self.logger = logger
  }

  package func start() throws(TransportError) {
    try MountPoint.prepare(path)
    try MountPoint.prepare(machine, for: "sysfs")
    // Before ours may be in its place.
    try MountPoint.bind("/sys", at: machine)
    do throws(TransportError) {
      let session = try FUSESession.mount(
        at: path, options: ",default_permissions", Self.operations, handler: self)
      self.session = session
      do throws(Errno) { try pool.add(session) } catch {
        throw TransportError(.system, "cannot serve \(path): \(error)")
      }
    } catch {
      stop()
      throw error
    }
  }

  /// Takes it out of the tree; it ends with its session.
  package func stop() {
    MountPoint.detach(path)
    MountPoint.detach(machine)
  }

  package func sessionEnded() {
    logger.warning("the emulated /sys was unmounted", metadata: ["path": "\(path)"])
  }

  // MARK: - Names

  /// A node that the kernel names, and its path.
  private func node(_ inode: fuse_ino_t) -> (path: [String], node: SysfsNode)? {
    guard let path = table.path(of: UInt64(inode)) else { return nil }
    guard let node = tree.node(at: path) else {
      table.reset(path)
      return nil
    }
    return (path, node)
  }

  func lookup(_ request: consuming Request, _ parent: fuse_ino_t, _ name: String) {
    guard let parent = table.path(of: UInt64(parent)) else {
      return request.fail(.staleNFSFileHandle)
    }
    let path = parent + [name]
    guard let node = tree.node(at: path) else {
      table.reset(path)
      return request.fail(.noSuchFileOrDirectory)
    }
    var entry = fuse_entry_param()
    entry.ino = table.remember(node, at: path)
    entry.generation = 1
    entry.attr = table.attributes(of: node, at: path, started: started)
    request.entry(entry)
  }

  func forget(_ inode: fuse_ino_t, _ count: UInt64) {
    table.forget(UInt64(inode), count)
  }

  func attributes(_ request: consuming Request, _ inode: fuse_ino_t) {
    guard let (path, node) = node(inode) else { return request.fail(.noSuchFileOrDirectory) }
    request.attributes(table.attributes(of: node, at: path, started: started), timeout: 0)
  }

  /// `chmod` and `chown` last as long as the node; sizes and times have no meaning.
  func setAttributes(
    _ request: consuming Request, _ inode: fuse_ino_t, _ new: stat?, _ which: Int32
  ) {
    guard let path = node(inode)?.path, let new else { return request.fail(.noSuchFileOrDirectory) }
    let (mode, owner, group) = (FUSE_SET_ATTR_MODE, FUSE_SET_ATTR_UID, FUSE_SET_ATTR_GID)
    if which & (mode | owner | group) != 0 {
      table.change(path) { change in
        if which & mode != 0 { change.permissions = new.st_mode & 0o777 }
        if which & owner != 0 { change.owner = new.st_uid }
        if which & group != 0 { change.group = new.st_gid }
      }
    }
    attributes(request, inode)
  }

  func readLink(_ request: consuming Request, _ inode: fuse_ino_t) {
    guard case .symlink(let target)? = node(inode)?.node else {
      return request.fail(.noSuchFileOrDirectory)
    }
    request.link(target)
  }

  // MARK: - Directories

  func openDirectory(
    _ request: consuming Request, _ inode: fuse_ino_t, _ info: UnsafeMutablePointer<fuse_file_info>?
  ) {
    guard let (path, node) = node(inode), case .directory(let directory) = node else {
      return request.fail(.noSuchFileOrDirectory)
    }
    var listing: OpenNode.Listing = [
      (".", NodeTable.inode(of: path), S_IFDIR),
      ("..", NodeTable.inode(of: path.dropLast()), S_IFDIR),
    ]
    for name in tree.names(in: directory, at: path) {
      guard let node = directory[name] ?? tree.node(at: path + [name]) else { continue }
      listing.append((name, NodeTable.inode(of: path + [name]), node.type))
    }
    let handle = OpenNode.retainedHandle(OpenNode.Directory(listing))
    info?.pointee.fh = handle
    if !request.opened(info) { OpenNode.release(handle, OpenNode.Directory.self) }
  }

  func readDirectory(
    _ request: consuming Request, _ handle: UInt64, _ size: Int, _ offset: off_t
  ) {
    let listing = OpenNode.node(handle, OpenNode.Directory.self)?.listing ?? []
    request.entries(listing[min(listing.count, max(0, Int(offset)))...], size: min(size, 1 << 20))
  }

  // MARK: - Files

  func open(
    _ request: consuming Request, _ inode: fuse_ino_t, _ info: UnsafeMutablePointer<fuse_file_info>?
  ) {
    guard case .file(let file)? = node(inode)?.node else {
      return request.fail(.noSuchFileOrDirectory)
    }
    let access = (info?.pointee.flags ?? 0) & O_ACCMODE
    // For root as well (kernfs_fop_open of fs/kernfs/file.c).
    if access != O_WRONLY && !file.isReadable || access != O_RDONLY && !file.isWritable {
      return request.fail(.permissionDenied)
    }
    let handle = OpenNode.retainedHandle(
      OpenNode.File(file, isAdministrator: request.user == 0))
    info?.pointee.fh = handle
    info?.pointee.direct_io = 1
    if !request.opened(info) { OpenNode.release(handle, OpenNode.File.self) }
  }

  func read(
    _ request: consuming Request, _ handle: UInt64, _ size: Int, _ offset: off_t
  ) {
    guard let open = OpenNode.node(handle, OpenNode.File.self) else {
      return request.fail(.badFileDescriptor)
    }
    do throws(Errno) {
      request.data(try open.read(at: Int(offset), size))
    } catch {
      request.fail(error)
    }
  }

  /// Acts on another thread, for that can make nodes, which our own requests are for, or wait.
  func write(
    _ request: consuming Request, _ handle: UInt64, _ bytes: UnsafeRawBufferPointer,
    at offset: Int
  ) {
    guard let open = OpenNode.node(handle, OpenNode.File.self), let session else {
      return request.fail(.badFileDescriptor)
    }
    let bytes = Array(bytes.prefix(Self.writeLimit))
    let pending = request.later(of: session)
    work.run { [work] in
      do throws(Errno) {
        if let count = try open.writePart(bytes, at: offset) {
          return pending.answer { $0.written(count) }
        }
        switch try open.write(bytes) {
        case .done:
          pending.answer { $0.written(bytes.count) }
        case .later(let answer):
          pending.onInterrupt {
            work.run {
              if answer.cancel() { _ = pending.interrupt() }
            }
          }
          answer.whenComplete { result in
            switch result {
            case .failure(let error): pending.answer { $0.fail(error) }
            case .success: pending.answer { $0.written(bytes.count) }
            }
          }
        }
      } catch {
        pending.answer { $0.fail(error) }
      }
    }
  }
}
