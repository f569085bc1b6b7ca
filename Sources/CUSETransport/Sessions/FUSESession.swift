import CFuse3
import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage

/// What libfuse's `userdata` leads to: the object whose callbacks a session's requests run.
class SessionHandler {
  /// The connection ended: the kernel refused it, or somebody aborted it.
  func sessionEnded() {}
}

/// A libfuse session: one connection to the kernel, as CUSE node or as mount.
///
/// @unchecked: `pointer` is used as libfuse allows, from several threads at once; nothing else changes.
final class FUSESession: @unchecked Sendable {
  let pointer: OpaquePointer
  let handler: SessionHandler
  /// The thread whose request came last.
  let lastCaller = Atomic<UInt32>(0)

  /// - Parameter pointer: a session with its descriptor open, which this object now owns.
  init(owning pointer: OpaquePointer, handler: SessionHandler) throws(Errno) {
    self.pointer = pointer
    self.handler = handler
    try cl_set_nonblocking(fd).checked()
  }

  deinit {
    fuse_session_destroy(pointer)
  }

  var fd: Int32 { fuse_session_fd(pointer) }

  /// Reads one request.
  ///
  /// - Returns: nil when there is none now.
  /// - Throws: `ENODEV` when the connection is gone.
  func receive(into buffer: inout fuse_buf) throws(Errno) -> Bool {
    while true {
      // SAFETY: libfuse allocates `buffer.mem` on first use and never writes past its size.
      let n = fuse_session_receive_buf(pointer, &buffer)
      if n > 0 { return true }
      if n == -EAGAIN { return false }
      if n != -EINTR { throw .operationNotSupportedByDevice }
    }
  }

  func process(_ buffer: inout fuse_buf) {
    // SAFETY: `buffer` holds a request that `receive` read from this session.
    fuse_session_process_buf(pointer, &buffer)
    // libfuse marks a connection that the kernel refused as exited and says no more.
    if fuse_session_exited(pointer) != 0 { handler.sessionEnded() }
  }

  /// Ends the connection now, whoever still holds the session: its node vanishes, its callers return.
  ///
  /// The number stays taken (by /dev/null) until the last reply to a request of this session is tried.
  func disconnect() {
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    if null >= 0 {
      cl_replace_fd(null, fd)
      cl_close(null)
    }
  }
}
