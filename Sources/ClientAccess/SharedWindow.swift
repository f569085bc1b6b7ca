import CLinux
import Synchronization
import SystemPackage

/// Shared memory of a client, mapped by us as well: a device's access to it is a plain copy.
///
/// The client may take the pages away at any time (ftruncate). Then an access fails, and harms nobody.
/// It may map something else at its addresses: the window is `isStale` from then on, up to
/// `SharedWindows.interval` later. Until that, accesses reach the old pages, as those of hardware do.
public final class SharedWindow: Sendable {
  /// The client's addresses that it shows.
  public let range: Range<ClientAddress>
  public let isWritable: Bool
  /// What to add to a client's address to get ours.
  public let offset: UInt64
  private static let guardInstalled = cl_guard_install()
  private let stale = Atomic<Bool>(false)

  /// - Parameter vma: a shared mapping, of the file behind `fd`.
  init(_ vma: VMA, fd: Int32) throws(Errno) {
    try Self.guardInstalled.checked()
    let start = try cl_vma_map(fd, vma.offset, vma.size, vma.isWritable).checked()
    range = ClientAddress(vma.start)..<ClientAddress(vma.end)
    isWritable = vma.isWritable
    offset = UInt64(bitPattern: start) &- vma.start
  }

  deinit {
    cl_vma_unmap(
      range.lowerBound.rawValue &+ offset, range.upperBound.rawValue - range.lowerBound.rawValue)
  }

  /// Whether the client has something else at these addresses by now.
  public var isStale: Bool { stale.load(ordering: .relaxed) }

  func expire() {
    stale.store(true, ordering: .relaxed)
  }

  /// Copies between a buffer and the window's memory at the client's address `address`. The caller keeps
  /// it inside `range`, and reads or writes by the window's rights.
  ///
  /// - Returns: false when the client has taken pages away; a part may have moved.
  @inline(__always)
  public static func copy(
    _ direction: CopyDirection, _ buffer: UnsafeMutableRawPointer, host: UInt64, count: Int
  ) -> Bool {
    // SAFETY: inside our mapping, which may raise SIGBUS and nothing worse: the C side expects it.
    let memory = UnsafeMutableRawPointer(bitPattern: UInt(host))
    return switch direction {
    case .fromClient: cl_guarded_copy(buffer, memory, count) == 0
    case .toClient: cl_guarded_copy(memory, buffer, count) == 0
    }
  }

  /// One atomic read-modify-write at an aligned address inside the window.
  ///
  /// - Returns: the old value, nil when the client has taken the page away.
  public static func atomic(
    host: UInt64, width: Int, _ kind: SharedAtomic, operand: UInt64, expected: UInt64 = 0
  ) -> UInt64? {
    var old: UInt64 = 0
    let c =
      switch kind {
      case .add: CL_ATOMIC_ADD
      case .swap: CL_ATOMIC_SWAP
      case .compareSwap: CL_ATOMIC_COMPARE_SWAP
      }
    // SAFETY: as above; aligned and inside, says the caller.
    let memory = UnsafeMutableRawPointer(bitPattern: UInt(host))
    return cl_guarded_atomic(memory, Int32(width), c, operand, expected, &old) == 0 ? old : nil
  }
}

public enum SharedAtomic: Sendable {
  case add
  case swap
  case compareSwap
}
