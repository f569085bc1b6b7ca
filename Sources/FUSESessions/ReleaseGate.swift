import Glibc
import Synchronization

/// Which workers may be holding a RELEASE that they have taken from the kernel but not carried out.
///
/// A regular file's release is asynchronous in FUSE: close(2) returns when the request is queued.
/// Programs expect its effects to be there by then, so a call that depends on them waits for them.
final class ReleaseGate: Sendable {
  /// Odd while its worker is between asking for a request and being done with a RELEASE.
  private final class Slot: Sendable {
    let epoch = Atomic<UInt>(0)
  }

  private let slots: [Slot]

  init(workers: Int) {
    slots = (0..<workers).map { _ in Slot() }
  }

  func enter(worker: Int) {
    slots[worker].epoch.add(1, ordering: .sequentiallyConsistent)
  }

  func leave(worker: Int) {
    slots[worker].epoch.add(1, ordering: .sequentiallyConsistent)
  }

  /// Returns when every worker that was inside has left, but for the caller.
  func waitForThoseInside(except own: Int) {
    for (worker, slot) in slots.enumerated() where worker != own {
      let before = slot.epoch.load(ordering: .sequentiallyConsistent)
      guard before & 1 == 1 else { continue }
      while slot.epoch.load(ordering: .sequentiallyConsistent) == before { sched_yield() }
    }
  }
}
