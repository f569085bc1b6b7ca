import CLinux
import Synchronization

/// The copy path: client memory by system calls.
///
/// `/proc/<pid>/mem` reaches the memory it was opened on and no other, and for a few pages it is the faster
/// way; but it copies everything twice. process_vm_readv(2) does not, and takes many pieces at once, but
/// goes by a process's number, and so to whatever program runs under it by then. Where that might be one
/// with more rights, it is not used.
extension ProcessAddressSpace {
  /// From here on the second copy costs more than looking whether the memory is alive.
  private static let smallCopy = 16 << 10
  /// How long a look at the memory is good for, in nanoseconds. Between the look and the copy a thread may
  /// be preempted for longer.
  private static let aliveFor: UInt64 = 100_000

  public func copy(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<CopySegment>
  ) -> Int {
    if segments.count == 1 && segments[0].count <= Self.smallCopy || !isExecHarmless {
      return withCSegments(segments) { cl_copy_mem(mem.rawValue, $0, $1, direction == .toClient) }
    }
    guard isAliveNow else { return 0 }
    let moved = withCSegments(segments) { cl_copy_process(tgid, $0, $1, direction == .toClient) }
    if moved >= 0 { return moved }
    // Not allowed, or the first thread has ended: the memory is reached the other way.
    return withCSegments(segments) { cl_copy_mem(mem.rawValue, $0, $1, direction == .toClient) }
  }

  private var isAliveNow: Bool {
    let now = cl_monotonic()
    if now < seenAlive.load(ordering: .relaxed) &+ Self.aliveFor { return true }
    guard isAlive else { return false }
    seenAlive.store(now, ordering: .relaxed)
    return true
  }

  private func withCSegments(
    _ segments: UnsafeBufferPointer<CopySegment>,
    _ body: (UnsafePointer<cl_segment>?, Int) -> Int
  ) -> Int {
    // SAFETY: both are a pointer, 64 bits and a size in this order; the test of their layouts says so.
    segments.withMemoryRebound(to: cl_segment.self) { body($0.baseAddress, $0.count) }
  }
}
