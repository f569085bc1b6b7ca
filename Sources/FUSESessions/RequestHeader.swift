import CFuse3

/// What a worker has to know of a request before libfuse parses it: `struct fuse_in_header`, and the
/// size in `struct fuse_read_in` and `fuse_write_in` (linux/fuse.h).
struct RequestHeader {
  private enum Opcode {
    static let read: UInt32 = 15
    static let write: UInt32 = 16
    static let release: UInt32 = 18
  }

  private let opcode: UInt32
  private let size: UInt32
  let user: UInt32
  let pid: UInt32

  init(_ buffer: fuse_buf) {
    // SAFETY: libfuse allocates request buffers of more than a page; a request is a header at least, and
    // a size that is not there is not used.
    opcode = buffer.mem.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    user = buffer.mem.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    pid = buffer.mem.loadUnaligned(fromByteOffset: 32, as: UInt32.self)
    size = buffer.mem.loadUnaligned(fromByteOffset: 56, as: UInt32.self)
  }

  var isRelease: Bool { opcode == Opcode.release }

  /// More register accesses than a few.
  var mayTakeLong: Bool { (opcode == Opcode.read || opcode == Opcode.write) && size > 64 }
}
