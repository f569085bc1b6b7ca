import CLinux
import Glibc
public import SystemPackage

/// A thread of a client, blocked in a system call that we answer: memory and descriptors by its id.
///
/// Good for the length of that call only, since afterwards the id may be somebody else's.
public struct ClientThread: Sendable {
  public let id: Int32
  /// Which of all threads that have had the id it is; 0 where its transport does not tell.
  public var incarnation: UInt64 = 0

  public init(id: Int32) {
    self.id = id
  }

  /// Copies from the thread's memory. Calls `process_vm_readv(2)`.
  ///
  /// - Throws: `EFAULT`; `ESRCH` when the thread is gone; `EPERM` without the right to.
  public func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    if buffer.isEmpty { return }
    // SAFETY: the kernel writes at most `buffer.count` bytes into the caller's buffer.
    let n = cl_process_vm_read(id, buffer.baseAddress, address.rawValue, buffer.count)
    if try n.checked() != buffer.count { throw .badAddress }
  }

  /// Copies to the thread's memory. Calls `process_vm_writev(2)`.
  ///
  /// - Throws: as `read`.
  public func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    if buffer.isEmpty { return }
    // SAFETY: the kernel reads `buffer.count` bytes from the caller's buffer.
    let n = cl_process_vm_write(id, buffer.baseAddress, address.rawValue, buffer.count)
    if try n.checked() != buffer.count { throw .badAddress }
  }

  /// The mapping of the thread's memory that `address` is in, nil where there is none.
  public func mapping(at address: UInt64) throws(Errno) -> VMA? {
    try MemoryMap(pid: id).vma(at: address)
  }

  /// What file a descriptor of the thread leads to. Holds no reference to it, so that it delays no close.
  ///
  /// - Throws: `EBADF` when it is not open, or open with `O_PATH`.
  public func identify(_ fd: Int32) throws(Errno) -> FileIdentity {
    guard fd >= 0 else { throw .badFileDescriptor }
    if try ProcFS.flags(of: id, fd: fd) & oPath != 0 { throw .badFileDescriptor }
    var c = cl_file_identity()
    do { try cl_identify("/proc/\(id)/fd/\(fd)", &c).checked() } catch { throw .badFileDescriptor }
    return FileIdentity(c)
  }

  /// Takes a copy of a descriptor. Calls `pidfd_getfd(2)`. While there is one, the client's close is not the
  /// last: only for files whose close may wait for us.
  public func copy(of fd: Int32) throws(Errno) -> OwnedFD {
    let pidfd = try OwnedFD(result: cl_pidfd_open(try ProcFS.status(of: id).tgid))
    return try OwnedFD(result: cl_pidfd_getfd(pidfd.rawValue, fd))
  }

  /// Duplicates an eventfd of the thread. Calls `pidfd_getfd(2)`.
  ///
  /// - Throws: `EBADF` when `fd` is not open, `EINVAL` when it is something else.
  public func eventfd(_ fd: Int32, monitor: EventMonitor) throws(Errno) -> ClientEventFD {
    guard fd >= 0 else { throw .badFileDescriptor }
    // Looked at before it is taken: closing a copy of an unknown file might wait for a stranger.
    guard try isEventFD("/proc/\(id)/fd/\(fd)") else { throw .invalidArgument }
    let copy = try copy(of: fd)
    guard try isEventFD("/proc/self/fd/\(copy.rawValue)") else { throw .invalidArgument }
    return ClientEventFD(copy, monitor: monitor)
  }

  /// Whether a descriptor of the thread is a socket.
  public func isSocket(_ fd: Int32) throws(Errno) -> Bool {
    try linkText("/proc/\(id)/fd/\(fd)").starts(with: "socket:[")
  }

  private func isEventFD(_ link: String) throws(Errno) -> Bool {
    try linkText(link) == "anon_inode:[eventfd]"
  }

  private func linkText(_ link: String) throws(Errno) -> String {
    // SAFETY: the C side writes at most `$0.count` bytes, NUL included.
    var text = [CChar](repeating: 0, count: 64)
    let n = text.withUnsafeMutableBufferPointer {
      cl_readlink(link, $0.baseAddress, Int32($0.count))
    }
    if n == -ENOENT { throw .badFileDescriptor }
    try n.checked()
    return String(decoding: text.prefix(Int(n)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// How many bytes the thread may lock: its `RLIMIT_MEMLOCK`, `UInt64.max` with `CAP_IPC_LOCK`.
  public func lockedMemoryLimit() throws(Errno) -> UInt64 {
    if try has(capability: 14) { return .max }
    var limit: UInt64 = 0
    let result = cl_memlock_limit(id, &limit)
    if result == 0 { return limit }
    // Another user's, and we have no CAP_SYS_RESOURCE; /proc asks for less.
    return try ProcFS.lockedMemoryLimit(of: id)
  }

  /// Whether the thread has `CAP_SYS_RAWIO`. In another user namespace than ours it says nothing about us.
  public func hasRawIO() throws(Errno) -> Bool {
    guard try has(capability: 17) else { return false }
    let ours = try FileIdentity(path: "/proc/self/ns/user")
    return try FileIdentity(path: "/proc/\(id)/ns/user") == ours
  }

  /// - Parameter capability: its number in linux/capability.h.
  private func has(capability: UInt64) throws(Errno) -> Bool {
    var capabilities: UInt64 = 0
    try cl_capabilities(id, &capabilities).checked()
    return capabilities & 1 << capability != 0
  }
}

/// `O_PATH`, which Glibc shows only to C.
private let oPath: Int32 = 0o10000000
