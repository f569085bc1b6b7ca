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
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    deadline.tv_sec += milliseconds / 1000
    deadline.tv_nsec += milliseconds % 1000 * 1_000_000
    if deadline.tv_nsec >= 1_000_000_000 {
      deadline.tv_sec += 1
      deadline.tv_nsec -= 1_000_000_000
    }
    while sem_timedwait(semaphore, &deadline) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}
