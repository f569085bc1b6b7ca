import CFuse3
import ClientAccess
import Glibc
import SystemPackage

/// A FUSE request: consumed by exactly one reply.
struct Request: ~Copyable {
  private let raw: fuse_req_t

  /// - Parameter raw: the request that a libfuse callback was given.
  init(_ raw: fuse_req_t?) {
    // SAFETY: libfuse gives its callbacks a request, whatever C can say of it.
    self.raw = raw.unsafelyUnwrapped
  }

  deinit {
    // Nothing may be lost: what nobody answered has failed.
    fuse_reply_err(raw, EIO)
  }

  /// The thread that waits in the system call; 0 when our pid namespace does not hold it.
  var thread: ClientThread {
    // SAFETY: libfuse keeps the context as long as the request.
    ClientThread(id: fuse_req_ctx(raw).pointee.pid)
  }

  /// Whose call it is.
  var user: UInt32 {
    // SAFETY: as above.
    fuse_req_ctx(raw).pointee.uid
  }

  consuming func fail(_ error: Errno) {
    fuse_reply_err(raw, error.rawValue)
    discard self
  }

  /// Answers a call that has no result.
  consuming func succeed() {
    fuse_reply_err(raw, 0)
    discard self
  }

  /// Answers an ioctl; `output` goes to the ranges that a retry has named.
  consuming func ioctl(_ value: Int32, output: [UInt8] = []) {
    _ = output.withUnsafeBytes { fuse_reply_ioctl(raw, value, $0.baseAddress, $0.count) }
    discard self
  }

  /// Asks the kernel to call again with these ranges of the caller's memory copied in and out.
  consuming func retryIoctl(inputs: [iovec], outputs: [iovec]) {
    _ = inputs.withUnsafeBufferPointer { i in
      outputs.withUnsafeBufferPointer { o in
        fuse_reply_ioctl_retry(raw, i.baseAddress, i.count, o.baseAddress, o.count)
      }
    }
    discard self
  }

  consuming func data(_ bytes: UnsafeRawBufferPointer) {
    fuse_reply_buf(raw, bytes.baseAddress, bytes.count)
    discard self
  }

  consuming func written(_ count: Int) {
    fuse_reply_write(raw, count)
    discard self
  }

  /// - Returns: false when the caller was interrupted and there will be no release.
  consuming func opened(_ info: UnsafeMutablePointer<fuse_file_info>?) -> Bool {
    let delivered = fuse_reply_open(raw, info) == 0
    discard self
    return delivered
  }

  consuming func entry(_ entry: fuse_entry_param) {
    _ = withUnsafePointer(to: entry) { fuse_reply_entry(raw, $0) }
    discard self
  }

  consuming func attributes(_ attributes: stat, timeout: Double) {
    _ = withUnsafePointer(to: attributes) { fuse_reply_attr(raw, $0, timeout) }
    discard self
  }

  consuming func fileSystem(_ status: statvfs) {
    _ = withUnsafePointer(to: status) { fuse_reply_statfs(raw, $0) }
    discard self
  }

  /// Keeps the request for a later answer, from whatever thread.
  consuming func later(of session: FUSESession) -> PendingRequest {
    let pending = PendingRequest(raw, session)
    discard self
    return pending
  }
}
