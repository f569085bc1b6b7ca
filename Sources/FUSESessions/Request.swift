package import CFuse3
package import ClientAccess
import Glibc
package import SystemPackage

/// A FUSE request: consumed by exactly one reply.
package struct Request: ~Copyable {
  private let raw: fuse_req_t

  /// - Parameter raw: the request that a libfuse callback was given.
  package init(_ raw: fuse_req_t?) {
    // SAFETY: libfuse gives its callbacks a request, whatever C can say of it.
    self.raw = raw.unsafelyUnwrapped
  }

  deinit {
    // Nothing may be lost: what nobody answered has failed.
    fuse_reply_err(raw, EIO)
  }

  /// The thread that waits in the system call; 0 when our pid namespace does not hold it.
  package var thread: ClientThread {
    // SAFETY: libfuse keeps the context as long as the request.
    ClientThread(id: fuse_req_ctx(raw).pointee.pid)
  }

  /// Whose call it is.
  package var user: UInt32 {
    // SAFETY: as above.
    fuse_req_ctx(raw).pointee.uid
  }

  package consuming func fail(_ error: Errno) {
    fuse_reply_err(raw, error.rawValue)
    discard self
  }

  /// Answers a call that has no result.
  package consuming func succeed() {
    fuse_reply_err(raw, 0)
    discard self
  }

  /// Answers an ioctl; `output` goes to the ranges that a retry has named.
  package consuming func ioctl(_ value: Int32, output: [UInt8] = []) {
    _ = output.withUnsafeBytes { fuse_reply_ioctl(raw, value, $0.baseAddress, $0.count) }
    discard self
  }

  /// Asks the kernel to call again with these ranges of the caller's memory copied in and out.
  package consuming func retryIoctl(inputs: [iovec], outputs: [iovec]) {
    _ = inputs.withUnsafeBufferPointer { i in
      outputs.withUnsafeBufferPointer { o in
        fuse_reply_ioctl_retry(raw, i.baseAddress, i.count, o.baseAddress, o.count)
      }
    }
    discard self
  }

  package consuming func data(_ bytes: UnsafeRawBufferPointer) {
    fuse_reply_buf(raw, bytes.baseAddress, bytes.count)
    discard self
  }

  package consuming func data(_ bytes: ArraySlice<UInt8>) {
    _ = bytes.withUnsafeBytes { fuse_reply_buf(raw, $0.baseAddress, $0.count) }
    discard self
  }

  package consuming func written(_ count: Int) {
    fuse_reply_write(raw, count)
    discard self
  }

  /// - Returns: false when the caller was interrupted and there will be no release.
  package consuming func opened(_ info: UnsafeMutablePointer<fuse_file_info>?) -> Bool {
    let delivered = fuse_reply_open(raw, info) == 0
    discard self
    return delivered
  }

  package consuming func entry(_ entry: fuse_entry_param) {
    _ = withUnsafePointer(to: entry) { fuse_reply_entry(raw, $0) }
    discard self
  }

  package consuming func attributes(_ attributes: stat, timeout: Double) {
    _ = withUnsafePointer(to: attributes) { fuse_reply_attr(raw, $0, timeout) }
    discard self
  }

  package consuming func fileSystem(_ status: statvfs) {
    _ = withUnsafePointer(to: status) { fuse_reply_statfs(raw, $0) }
    discard self
  }

  /// Answers where a symbolic link leads.
  package consuming func link(_ target: String) {
    fuse_reply_readlink(raw, target)
    discard self
  }

  /// Ends a request that the kernel wants no answer to.
  package consuming func forgotten() {
    fuse_reply_none(raw)
    discard self
  }

  /// Answers with as many entries of a directory as `size` bytes hold.
  ///
  /// - Parameter entries: names with the inode and the type of each, from the one asked for on; an entry's
  ///   index is its position.
  package consuming func entries(
    _ entries: ArraySlice<(name: String, inode: UInt64, type: CInterop.Mode)>, size: Int
  ) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: max(size, 1)) { buffer in
      var used = 0
      for (position, entry) in zip(entries.indices, entries) {
        var attributes = stat()
        attributes.st_ino = ino_t(entry.inode)
        attributes.st_mode = entry.type
        // SAFETY: libfuse writes nothing where the entry needs more room than it is told there is.
        let needed = fuse_add_direntry(
          raw, buffer.baseAddress.map { $0 + used }, size - used, entry.name, &attributes,
          off_t(position + 1))
        if needed > size - used { break }
        used += needed
      }
      fuse_reply_buf(raw, buffer.baseAddress, used)
    }
    discard self
  }

  /// Keeps the request for a later answer, from whatever thread.
  package consuming func later(of session: FUSESession) -> PendingRequest {
    let pending = PendingRequest(raw, session)
    discard self
    return pending
  }
}
