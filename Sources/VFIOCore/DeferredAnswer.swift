import Synchronization
public import SystemPackage

/// An answer that is not there yet.
///
/// The core completes it, or the transport cancels it because a signal took the caller away. The first
/// of the two wins; the other has no effect.
public final class DeferredAnswer: Sendable {
  public typealias Answer = Result<IoctlResult, Errno>

  private enum State {
    case waiting((@Sendable (Answer) -> Void)?)
    case answered(Answer)
    case finished
  }

  private let state = Mutex(State.waiting(nil))
  private let onCancel: @Sendable () -> Void

  /// - Parameter onCancel: undoes what the wait stood for; called at most once, with no lock held.
  public init(onCancel: @escaping @Sendable () -> Void) {
    self.onCancel = onCancel
  }

  /// Gives the answer. An undelivered file is released when the caller has gone.
  public func complete(_ answer: Answer) {
    let (handler, orphan): ((@Sendable (Answer) -> Void)?, Bool) = state.withLock { state in
      switch state {
      case .waiting(let handler?):
        state = .finished
        return (handler, false)
      case .waiting(nil):
        state = .answered(answer)
        return (nil, false)
      case .answered, .finished:
        return (nil, true)
      }
    }
    if let handler {
      handler(answer)
    } else if orphan, case .success(.file(let file)) = answer {
      file.release()
    }
  }

  /// Sets the one handler of the answer; it runs at once where the answer is there already.
  public func whenComplete(_ handler: @escaping @Sendable (Answer) -> Void) {
    let ready: Answer? = state.withLock { state in
      switch state {
      case .waiting:
        state = .waiting(handler)
        return nil
      case .answered(let answer):
        state = .finished
        return answer
      case .finished:
        return nil
      }
    }
    if let ready { handler(ready) }
  }

  /// The caller was interrupted.
  ///
  /// - Returns: true when this call ended the wait: the transport then answers `EINTR`.
  public func cancel() -> Bool {
    let cancelled: Bool = state.withLock { state in
      guard case .waiting = state else { return false }
      state = .finished
      return true
    }
    if cancelled { onCancel() }
    return cancelled
  }
}
