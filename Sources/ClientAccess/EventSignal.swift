public import SystemPackage

/// A client's eventfd, held by us: an interrupt's way out, or an unmask request's way in.
public protocol EventSignal: AnyObject, Sendable {
  /// Adds 1 to the counter, as the kernel's `eventfd_signal`: never blocks, saturates.
  func signal()

  /// Calls `handler` each time the client has signalled, until the returned watch is cancelled or dropped.
  func watch(_ handler: @escaping @Sendable () -> Void) throws(Errno) -> any EventWatch
}

/// A running watch on an `EventSignal`. A handler that has begun may still be running when `cancel` returns.
public protocol EventWatch: AnyObject, Sendable {
  func cancel()
}
