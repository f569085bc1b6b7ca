import CFuse3
import Glibc
import Synchronization
import SystemPackage

/// A request whose answer comes later. The first answer counts; later ones have no effect.
///
/// @unchecked: `raw` is taken out under its lock by the one who answers; `interruptHandler` is written
/// before libfuse learns of it, and libfuse's own lock orders what follows.
final class PendingRequest: @unchecked Sendable {
  private struct Raw: @unchecked Sendable {
    var request: fuse_req_t?
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
  func answer(_ body: (consuming Request) -> Void) {
    let taken = raw.withLock { raw in
      defer { raw.request = nil }
      return raw
    }
    guard let taken = taken.request else { return }
    // From here on no interrupt handler of this request runs, and none starts.
    fuse_req_interrupt_func(taken, nil, nil)
    interruptHandler = nil
    body(Request(taken))
  }

  /// Calls `handler` once if a signal wants the caller back before the answer. To be called before
  /// anybody else can answer.
  ///
  /// The handler must not answer by itself but have another thread do it: libfuse calls it with the
  /// request locked.
  func onInterrupt(_ handler: @escaping @Sendable () -> Void) {
    guard let raw = raw.withLock({ $0 }).request else { return }
    interruptHandler = handler
    fuse_req_interrupt_func(
      raw,
      { _, data in
        // SAFETY: `answer`, which `deinit` calls at the latest, unregisters before this object goes.
        Unmanaged<PendingRequest>.fromOpaque(data.unsafelyUnwrapped).takeUnretainedValue()
          .interruptHandler?()
      }, Unmanaged.passUnretained(self).toOpaque())
  }
}
