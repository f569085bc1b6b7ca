import CLinux
import SystemPackage

/// What the kernel gave a program at its start: most of all addresses, drawn anew at each exec.
struct AuxiliaryVector: Equatable {
  private let bytes: [UInt8]

  /// - Throws: `ESRCH` for a thread that is gone, `EPERM` or `EACCES` without the right to examine it.
  init(of thread: Int32) throws(Errno) {
    var result = 0
    // The kernel's array has 46 words or so (AT_VECTOR_SIZE).
    let size = 1024
    // SAFETY: the C side writes at most `size` bytes into the array's own storage.
    bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      result = cl_auxiliary_vector(thread, buffer.baseAddress, size)
      count = max(0, result)
    }
    if result == -Int(Errno.noSuchFileOrDirectory.rawValue) { throw .noSuchProcess }
    if result < 0 { throw Errno(rawValue: Int32(-result)) }
  }
}
