import CFuse3
import Glibc
import Synchronization
import SystemPackage

/// A request whose answer comes later. The first answer counts; later ones have no effect.
///
/// @unchecked: `raw` is taken out under its lock by the one who answers; `interruptHandler` is written
/// before libfuse learns of it, and libfuse's own lock orders what follows.
package final class PendingRequest: @unchecked Sendable {
  // @unchecked: only carries the pointer under the lock and out of it.
  private struct Raw: @unchecked Sendable {
    var request: fuse_req_t?
    /// Whether it is too late for an interrupt.
    var isClaimed = false
  }

  private let raw: Mutex<Raw>
  /// Outlives the request: replying after the session's end must find its memory.
  private let session: FUSESession
  private var interruptHandler: (@Sendable () -> Void)?

  init(_ raw: fuse_req_t, _ session: FUSESession) {
    self.raw = Mutex(Raw(request: raw))
    self.session = session
  }

  deinit {
    answer { $0.fail(.ioError) }
  }

  /// Hands over the request to answer it, unless it is answered already.
  package func answer(_ body: (consuming Request) -> Void) {
    take(asInterrupt: false).map { body(Request($0)) }
  }

  /// Makes the answer certain: no interrupt comes any more.
  ///
  /// - Returns: false when one has come before.
  package func claim() -> Bool {
    let claimed = raw.withLock { raw in
      raw.isClaimed = true
      return raw.request
    }
    guard let claimed else { return false }
    fuse_req_interrupt_func(claimed, nil, nil)
    return true
  }

  /// Answers `EINTR`, unless the request is claimed or answered.
  ///
  /// - Returns: whether it did.
  package func interrupt() -> Bool {
    guard let taken = take(asInterrupt: true) else { return false }
    Request(taken).fail(.interrupted)
    return true
  }

  /// The request, for the first who asks; not for an interrupt once it is claimed.
  ///
  /// From then on no interrupt handler of it runs, and none starts.
  private func take(asInterrupt: Bool) -> fuse_req_t? {
    let taken = raw.withLock { raw -> Raw in
      if asInterrupt && raw.isClaimed { return Raw() }
      defer { raw.request = nil }
      return raw
    }
    guard let request = taken.request else { return nil }
    fuse_req_interrupt_func(request, nil, nil)
    interruptHandler = nil
    return request
  }

  /// Calls `handler` once if a signal wants the caller back before the answer. To be called before
  /// anybody else can answer.
  ///
  /// The handler must not answer by itself but have another thread do it: libfuse calls it with the
  /// request locked.
  package func onInterrupt(_ handler: @escaping @Sendable () -> Void) {
    guard let raw = raw.withLock({ $0 }).request else { return }
    interruptHandler = handler
    fuse_req_interrupt_func(
      raw,
      { _, data in
        // SAFETY: `take`, which `deinit` comes to at the latest, unregisters before this object goes.
        Unmanaged<PendingRequest>.fromOpaque(data.unsafelyUnwrapped).takeUnretainedValue()
          .interruptHandler?()
      }, Unmanaged.passUnretained(self).toOpaque())
  }
}
