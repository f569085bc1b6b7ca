import CPlugin
import SystemPackage
import VFIOCore

/// What this thread is doing for a plug-in: whether it is in a callback, and for which client.
enum PluginCall {
  static var isInCallback: Bool { cp_call_current() != nil }

  /// Runs a callback that serves no client's memory.
  static func callback<Result>(_ body: () -> Result) -> Result {
    enter(nil, body)
  }

  /// Runs a callback that may reach the memory of `client`.
  static func callback<Result>(for client: any Client, _ body: () -> Result) -> Result {
    // SAFETY: the client outlives the call, and so does the pointer to it.
    withUnsafePointer(to: client) { enter(UnsafeRawPointer($0), body) }
  }

  /// The client of the innermost callback.
  ///
  /// - Throws: `EINVAL` where this thread serves none.
  static func client() throws(Errno) -> any Client {
    // SAFETY: set by `callback(for:)` further up this thread's stack, for as long as the callback lasts.
    guard let client = cp_call_current()?.pointee.client else { throw .invalidArgument }
    return client.load(as: (any Client).self)
  }

  /// - Throws: `EDEADLK` in a callback, where nothing may wait for clients.
  static func checkMayWait() throws(Errno) {
    if isInCallback { throw .deadlock }
  }

  private static func enter<Result>(_ client: UnsafeRawPointer?, _ body: () -> Result) -> Result {
    var call = cp_call(client: client)
    // SAFETY: the call is taken off the thread again before its storage goes.
    return withUnsafePointer(to: &call) { pointer in
      let before = cp_call_set(pointer)
      defer { cp_call_set(before) }
      return body()
    }
  }
}
