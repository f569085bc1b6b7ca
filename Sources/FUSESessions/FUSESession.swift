package import CFuse3
import CLinux
import ClientAccess
import Glibc
import Synchronization
package import SystemPackage
package import Transport

/// What libfuse's `userdata` leads to: the object whose callbacks a session's requests run.
package protocol SessionHandler: AnyObject {
  /// The connection ended: the kernel refused it, or somebody aborted it.
  func sessionEnded()
}

/// A libfuse session: one connection to the kernel, as CUSE node or as mount.
///
/// @unchecked: `pointer` is used as libfuse allows, from several threads at once; nothing else changes.
package final class FUSESession: @unchecked Sendable {
  package let pointer: OpaquePointer
  let handler: any SessionHandler
  /// The thread whose request came last.
  let lastCaller = Atomic<UInt32>(0)
  /// Open from the first session on: where clients have taken all descriptors, sessions can still be ended.
  private static let null = open("/dev/null", O_RDWR | O_CLOEXEC)

  /// - Parameter pointer: a session with its descriptor open, which this object now owns.
  package init(owning pointer: OpaquePointer, handler: any SessionHandler) throws(Errno) {
    self.pointer = pointer
    self.handler = handler
    _ = Self.null
    try cl_set_nonblocking(fd).checked()
  }

  /// Mounts a file system that `handler` answers for, for everybody on the machine.
  ///
  /// - Parameters:
  ///   - options: of the mount, beside those that every mount of ours has.
  ///   - operations: callbacks that find `handler` in the session's userdata.
  package static func mount(
    at path: String, options: String, _ operations: fuse_lowlevel_ops, handler: some SessionHandler
  ) throws(TransportError) -> FUSESession {
    let options = "allow_other,nosuid,nodev,noexec,fsname=vfio-cused,subtype=vfio-cused" + options
    // SAFETY: libfuse copies arguments and operations; the session holds the handler.
    let pointer: OpaquePointer? = withCArguments(["vfio-cused", "-o", options]) { arguments in
      withUnsafePointer(to: operations) { operations in
        fuse_session_new(
          &arguments, operations, MemoryLayout<fuse_lowlevel_ops>.size,
          Unmanaged.passUnretained(handler).toOpaque())
      }
    }
    guard let pointer else { throw TransportError(.system, "libfuse cannot make a FUSE session") }
    guard fuse_session_mount(pointer, path) == 0 else {
      fuse_session_destroy(pointer)
      throw TransportError(
        .unavailable, "cannot mount FUSE at \(path); is /dev/fuse there, and may we mount?")
    }
    do {
      return try FUSESession(owning: pointer, handler: handler)
    } catch {
      MountPoint.detach(path)
      throw TransportError(.system, "cannot use the mount at \(path): \(error)")
    }
  }

  deinit {
    fuse_session_destroy(pointer)
  }

  package var fd: Int32 { fuse_session_fd(pointer) }

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
    cl_replace_fd(Self.null, fd)
  }
}
