import CLinux
import ClientAccess
import FUSESessions
import Glibc
import Logging
import SystemPackage
import Threads
import VFIOCore

/// Gives a waiting client a descriptor of a new file, as the return value of its ioctl.
///
/// The client's own thread opens the file in our mount, so the descriptor is the lowest free one, and
/// limits apply, as on a real kernel. Where it cannot see the mount (a chroot, another mount namespace)
/// it makes a socket pair instead, and we send it the descriptor.
struct DescriptorDelivery: Sendable {
  /// How long a client may take over system calls of a few microseconds before it is killed.
  private static let deadline = Duration.seconds(10)

  let mount: FileMount
  let logger: Logger

  /// Delivers `file`, or releases it. Waits for the client: not for a thread that answers requests.
  func deliver(_ file: any VFIOFile, to thread: ClientThread, answering request: PendingRequest) {
    let expected = mount.expect(file, opener: thread.id)
    defer { mount.withdraw(expected) }
    do throws(TracingFailure) {
      let seized = try SeizedThread.seize(thread.id, as: .administrator)
      request.answer { $0.ioctl(SeizedThread.placeholder) }
      guard var stopped = seized.stopped(deadline: Self.deadline) else { return }
      let result: Int64?
      do throws(TracingFailure) {
        try stopped.prepare(after: .ioctl)
        result = try open(expected, in: stopped)
      } catch {
        log(error, file, thread)
        result = -Int64(error.errno.rawValue)
      }
      // What failed has had no effect by the time the client sees it.
      mount.withdraw(expected)
      if let result { _ = stopped.resume(returning: result) }
    } catch {
      log(error, file, thread)
      mount.withdraw(expected)
      request.answer { $0.fail(error.errno) }
    }
  }

  private func log(_ failure: TracingFailure, _ file: any VFIOFile, _ thread: ClientThread) {
    logger.warning(
      "cannot hand out a descriptor: \(failure.sentence)",
      metadata: [
        "file": "\(file.description)", "pid": "\(thread.id)", "errno": "\(failure.errno)",
      ])
  }

  private func open(
    _ expected: FileMount.Expected, in stopped: borrowing StoppedThread
  ) throws(TracingFailure) -> Int64? {
    guard let path = Scratch(path: expected.path) else {
      throw TracingFailure(
        errno: .fileNameTooLong, sentence: "the mount's path is too long: \(expected.path)")
    }
    guard stopped.write(path.words),
      let fd = stopped.call(
        CL_SYS_openat, UInt64(bitPattern: Int64(AT_FDCWD)), stopped.scratch,
        UInt64(O_RDWR | (expected.closesOnExec ? O_CLOEXEC : 0)))
    else { return nil }
    if fd >= 0 && mount.wasOpened(expected) { return fd }
    switch Errno(rawValue: Int32(clamping: -fd)) {
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory:
      return fd
    default:
      // Nothing there, or something else: the client's root is not ours.
      if fd >= 0 { guard stopped.call(CL_SYS_close, UInt64(fd)) != nil else { return nil } }
      return try send(expected, to: stopped)
    }
  }

  // MARK: By socket pair

  /// `struct msghdr` and what it points to, in the scratch memory.
  private enum Layout {
    static let iovec = 56
    static let control = 72
    static let byte = 96
    static let sockets = 104
  }

  private func send(
    _ expected: FileMount.Expected, to stopped: borrowing StoppedThread
  ) throws(TracingFailure) -> Int64? {
    let base = stopped.scratch
    guard
      let made = stopped.call(
        CL_SYS_socketpair, UInt64(AF_UNIX), UInt64(SOCK_DGRAM.rawValue), 0,
        base &+ UInt64(Layout.sockets))
    else { return nil }
    if made < 0 { return made }
    guard let pair = stopped.word(at: Layout.sockets) else { return nil }
    let (near, far) = (pair & 0xffff_ffff, pair >> 32)
    let sent = Courier.send(
      expected, of: mount, to: stopped.tid, socket: Int32(truncatingIfNeeded: far))
    var result = Int64(-sent.rawValue)
    if sent.rawValue == 0 {
      guard let received = try receive(near, expected, in: stopped) else { return nil }
      result = received
    }
    guard stopped.call(CL_SYS_close, near) != nil, stopped.call(CL_SYS_close, far) != nil else {
      return nil
    }
    // The two sockets took the lowest numbers; a client counts on getting the lowest.
    guard result >= 0 else { return result }
    let duplicate = expected.closesOnExec ? CL_F_DUPFD_CLOEXEC : CL_F_DUPFD
    guard let lowest = stopped.call(CL_SYS_fcntl, UInt64(result), UInt64(duplicate), 0) else {
      return nil
    }
    guard lowest >= 0, lowest < result else {
      if lowest >= 0 { guard stopped.call(CL_SYS_close, UInt64(lowest)) != nil else { return nil } }
      return result
    }
    guard stopped.call(CL_SYS_close, UInt64(result)) != nil else { return nil }
    return lowest
  }

  private func receive(
    _ socket: UInt64, _ expected: FileMount.Expected, in stopped: borrowing StoppedThread
  ) throws(TracingFailure) -> Int64? {
    let base = stopped.scratch
    let message: [UInt64] = [
      0, 0,  // no name
      base &+ UInt64(Layout.iovec), 1,
      base &+ UInt64(Layout.control), 24,
      0,  // flags
      base &+ UInt64(Layout.byte), 1,  // struct iovec
      0, 0, 0,  // struct cmsghdr and the descriptor
      0,
    ]
    let closeOnExec: UInt64 = 0x4000_0000  // MSG_CMSG_CLOEXEC
    let flags = UInt64(MSG_DONTWAIT) | (expected.closesOnExec ? closeOnExec : 0)
    guard stopped.write(message),
      let n = stopped.call(CL_SYS_recvmsg, socket, base, flags)
    else { return nil }
    if n < 0 { return n }
    guard let length = stopped.word(at: Layout.control),
      let fd = stopped.word(at: Layout.control + 16)
    else { return nil }
    // No room in the client's table: the kernel drops the descriptor and says so by an empty message.
    if length < 20 { return -Int64(EMFILE) }
    return Int64(fd & 0xffff_ffff)
  }
}

/// A NUL-terminated path as words of scratch memory.
private struct Scratch {
  let words: [UInt64]

  init?(path: String) {
    var bytes = Array(path.utf8) + [0]
    guard bytes.count <= StoppedThread.scratchSize else { return nil }
    while bytes.count % 8 != 0 { bytes.append(0) }
    words = stride(from: 0, to: bytes.count, by: 8).map { i in
      bytes[i..<i + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }
}
