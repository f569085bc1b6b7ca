import Synchronization
import Threads

/// An unbind that a thread of a plug-in waits for.
final class PluginUnbind: Sendable {
  private let semaphore = Semaphore()
  private let data = Mutex<UInt?>(nil)

  func complete(_ bits: UInt) {
    data.withLock { $0 = bits }
    semaphore.signal()
  }

  /// - Returns: what it was completed with, when it is.
  func wait() -> UInt {
    while true {
      if let bits = data.withLock({ $0 }) { return bits }
      _ = semaphore.wait(milliseconds: 60_000)
    }
  }
}
