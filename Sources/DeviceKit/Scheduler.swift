/// Runs work later, on threads that may wait for client memory.
public protocol Scheduler: AnyObject, Sendable {
  /// Runs `work` once, on some other thread, no earlier than `delay` from now.
  func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void)
}
