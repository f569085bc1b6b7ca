import CLinux
import Glibc

/// A counting semaphore, sem_init(3).
public final class Semaphore: @unchecked Sendable {
  // The pointer never changes, and what is behind it is made for threads.
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  public init() {
    // SAFETY: fresh storage of our own, freed in deinit.
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  public func signal() {
    sem_post(semaphore)
  }

  /// - Returns: false when nothing was signalled in that time.
  public func wait(milliseconds: Int) -> Bool {
    cl_sem_wait(semaphore, UInt32(clamping: milliseconds)) == 1
  }
}
