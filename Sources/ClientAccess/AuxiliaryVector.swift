import CLinux
import SystemPackage

/// What the kernel gave a program at its start: most of all addresses, drawn anew at each exec.
struct AuxiliaryVector: Equatable {
  private static let atRandom: UInt64 = 25

  /// Pairs of a type and a value.
  private let words: [UInt64]

  /// - Throws: `ESRCH` for a thread that is gone, `EPERM` or `EACCES` without the right to examine it.
  init(of thread: Int32) throws(Errno) {
    var result = 0
    // The kernel's array has 46 words or so (AT_VECTOR_SIZE).
    let capacity = 128
    // SAFETY: the C side writes at most so many bytes into the array's own storage.
    words = [UInt64](unsafeUninitializedCapacity: capacity) { buffer, count in
      result = cl_auxiliary_vector(thread, buffer.baseAddress, capacity * 8)
      count = max(0, result) / 8
    }
    if result == -Int(Errno.noSuchFileOrDirectory.rawValue) { throw .noSuchProcess }
    if result < 0 { throw Errno(rawValue: Int32(-result)) }
  }

  /// Where 16 bytes are that the kernel drew for the program; programs do not change them.
  var randomBytes: ClientAddress? {
    stride(from: 0, to: words.count - 1, by: 2).first { words[$0] == Self.atRandom }
      .map { ClientAddress(words[$0 + 1]) }
  }
}
