import CFuse3
import ClientAccess
import FUSESessions
import Glibc
import Logging
import Synchronization
import SystemPackage
import VFIOCore

/// The daemon's own FUSE mount, whose regular files are what device and IOMMU descriptors lead to.
///
/// A file comes into being for one open by one thread, the one a descriptor is being handed to, and is
/// gone with its last copy. To everybody else the mount is an empty directory.
final class FileMount: SessionHandler, @unchecked Sendable {
  // @unchecked: `session` and `fileSystem` are set once, by `mount`, before there are requests.

  /// A file that waits for its open.
  struct Expected: Sendable {
    let inode: UInt64
    let path: String
    let closesOnExec: Bool
  }

  private struct State {
    struct Pending {
      var file: any VFIOFile
      var opener: Int32
    }

    var nextInode: UInt64 = UInt64(FUSE_ROOT_ID) + 1
    var pending: [UInt64: Pending] = [:]
    var open: [UInt64: OpenFile] = [:]
  }

  /// Every region's offset, `index << 40`, lies within.
  private static let size: Int64 = 16 << 40
  /// Nothing of a file ever changes; asking the daemon again would only cost.
  private static let attributeTimeout: Double = 86_400
  private static let readLimit = 1 << 20

  let path: String
  private let state = Mutex(State())
  private let transport: CUSETransport
  private weak var session: FUSESession?
  private var fileSystem = FileIdentity.DeviceNumber(major: 0, minor: 0)

  init(path: String, transport: CUSETransport) {
    self.path = path
    self.transport = transport
  }

  func mount() throws(TransportError) -> FUSESession {
    let session = try FUSESession.mount(at: path, options: "", Self.operations, handler: self)
    self.session = session
    do throws(Errno) {
      fileSystem = try FileIdentity(path: path).fileSystem
    } catch {
      unmount()
      throw TransportError(.system, "cannot use the mount at \(path): \(error)")
    }
    return session
  }

  func unmount() {
    MountPoint.detach(path)
  }

  func sessionEnded() {
    transport.fileMountEnded()
  }

  // MARK: Handing out

  /// Makes `file` ready to be opened once, by `opener` only.
  func expect(_ file: any VFIOFile, opener: Int32) -> Expected {
    let inode = state.withLock { state in
      defer { state.nextInode += 1 }
      state.pending[state.nextInode] = State.Pending(file: file, opener: opener)
      return state.nextInode
    }
    return Expected(inode: inode, path: "\(path)/\(inode)", closesOnExec: file.closesOnExec)
  }

  /// Lets another thread do the open.
  func setOpener(_ opener: Int32, of expected: Expected) {
    state.withLock { $0.pending[expected.inode]?.opener = opener }
  }

  /// Whether the open has been answered.
  func wasOpened(_ expected: Expected) -> Bool {
    state.withLock { $0.pending[expected.inode] == nil }
  }

  /// Takes back a file that nobody opened, and releases it.
  func withdraw(_ expected: Expected) {
    state.withLock { $0.pending.removeValue(forKey: expected.inode) }?.file.release()
  }

  /// The file that a client's descriptor leads to.
  func file(_ identity: FileIdentity) -> (any VFIOFile)? {
    guard identity.fileSystem == fileSystem else { return nil }
    return state.withLock { $0.open[identity.inode]?.file }
  }

  /// Waits for the releases of descriptors that have been closed.
  func settle() {
    guard let session, state.withLock({ !$0.open.isEmpty }) else { return }
    transport.pool.settle(session)
  }

  // MARK: Requests

  private func lookup(_ request: consuming Request, parent: fuse_ino_t, name: String) {
    guard parent == FUSE_ROOT_ID, let inode = UInt64(name),
      state.withLock({ $0.pending[inode] != nil })
    else { return request.fail(.noSuchFileOrDirectory) }
    var entry = fuse_entry_param()
    entry.ino = inode
    entry.generation = 1
    entry.attr = Self.attributes(inode)
    entry.attr_timeout = Self.attributeTimeout
    request.entry(entry)
  }

  private func open(
    _ request: consuming Request, _ inode: UInt64, _ info: UnsafeMutablePointer<fuse_file_info>?
  ) {
    let opener = request.thread.id
    let open: OpenFile? = state.withLock { state in
      guard let pending = state.pending[inode], pending.opener == opener else { return nil }
      state.pending[inode] = nil
      let open = OpenFile(pending.file)
      state.open[inode] = open
      return open
    }
    // As for an anonymous inode that somebody opens again through /proc.
    guard let open else { return request.fail(.noSuchAddressOrDevice) }
    let handle = open.retainedHandle()
    info?.pointee.fh = handle
    info?.pointee.direct_io = 1
    if !request.opened(info) { release(inode, handle) }
  }

  private func release(_ inode: UInt64, _ handle: UInt64) {
    OpenFile.release(handle)
    // Last: as long as a file is in the table, `settle` waits for its release.
    _ = state.withLock { $0.open.removeValue(forKey: inode) }
  }

  private func read(_ request: consuming Request, _ handle: UInt64, _ size: Int, _ offset: Int64) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(size, Self.readLimit), alignment: 16)
    defer { buffer.deallocate() }
    let result = OpenFile.with(handle) { open in
      Result { () throws(Errno) in
        try open.file.read(at: UInt64(bitPattern: offset), into: buffer)
      }
    }
    switch result {
    case .success(let n)?: request.data(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
    case .failure(let error)?: request.fail(error)
    case nil: request.fail(.badFileDescriptor)
    }
  }

  private func write(
    _ request: consuming Request, _ handle: UInt64, _ bytes: UnsafeRawBufferPointer, _ offset: Int64
  ) {
    let result = OpenFile.with(handle) { open in
      Result { () throws(Errno) in
        try open.file.write(at: UInt64(bitPattern: offset), from: bytes)
      }
    }
    switch result {
    case .success(let n)?: request.written(n)
    case .failure(let error)?: request.fail(error)
    case nil: request.fail(.badFileDescriptor)
    }
  }

  private func ioctl(
    _ request: consuming Request, _ command: UInt32, _ argument: UInt64, _ handle: UInt64
  ) {
    if transport.pool.isBarred(request.user) {
      return request.fail(.resourceTemporarilyUnavailable)
    }
    let client = CUSEClient(request.thread, transport.clients)
    let result = OpenFile.with(handle) { open in
      Result { () throws(Errno) in try open.file.ioctl(command, argument, from: client) }
    }
    // An ioctl on the directory: anybody may try.
    guard let result else { return request.fail(.inappropriateIOCTLForDevice) }
    transport.answer(request, of: session, with: result, output: [])
  }

  private static func attributes(_ inode: UInt64) -> stat {
    var attributes = stat()
    attributes.st_ino = ino_t(inode)
    if inode == UInt64(FUSE_ROOT_ID) {
      attributes.st_mode = S_IFDIR | 0o555
      attributes.st_nlink = 2
    } else {
      attributes.st_mode = S_IFREG | 0o600
      attributes.st_nlink = 1
      attributes.st_size = off_t(size)
    }
    return attributes
  }

  private static var operations: fuse_lowlevel_ops {
    var ops = fuse_lowlevel_ops()
    ops.`init` = { _, connection in
      // Releases are background requests: none of them may queue behind a limit.
      connection?.pointee.max_background = 65535
      connection?.pointee.congestion_threshold = 65535
    }
    ops.lookup = { request, parent, name in
      FileMount.of(request).lookup(
        Request(request), parent: parent, name: name.map { String(cString: $0) } ?? "")
    }
    ops.getattr = { request, inode, _ in
      Request(request).attributes(
        FileMount.attributes(UInt64(inode)), timeout: FileMount.attributeTimeout)
    }
    ops.setattr = { request, _, _, _, _ in Request(request).fail(.invalidArgument) }
    ops.open = { FileMount.of($0).open(Request($0), UInt64($1), $2) }
    ops.release = { request, inode, info in
      FileMount.of(request).release(UInt64(inode), info.handle)
      Request(request).succeed()
    }
    ops.read = { request, _, size, offset, info in
      FileMount.of(request).read(Request(request), info.handle, size, Int64(offset))
    }
    ops.write = { request, _, data, size, offset, info in
      FileMount.of(request).write(
        Request(request), info.handle, UnsafeRawBufferPointer(start: data, count: size),
        Int64(offset))
    }
    // Drivers of VFIO have no such operation (fs/sync.c).
    ops.fsync = { request, _, _, _ in Request(request).fail(.invalidArgument) }
    ops.ioctl = { request, _, command, argument, info, _, _, _, _ in
      FileMount.of(request).ioctl(
        Request(request), command, UInt64(UInt(bitPattern: argument)), info.handle)
    }
    ops.opendir = { request, _, info in _ = Request(request).opened(info) }
    ops.readdir = { request, _, _, _, _ in
      Request(request).data(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    ops.releasedir = { request, _, _ in Request(request).succeed() }
    ops.statfs = { request, _ in Request(request).fileSystem(statvfs()) }
    return ops
  }

  private static func of(_ request: fuse_req_t?) -> FileMount {
    // SAFETY: the userdata of the mount's session is the mount, which the session keeps alive.
    Unmanaged<FileMount>.fromOpaque(fuse_req_userdata(request).unsafelyUnwrapped)
      .takeUnretainedValue()
  }
}
