import CLinux
public import SystemPackage

/// Plain threads: what serves blocking system calls cannot be a task.
public enum Thread {
  private final class Body {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }

  /// Starts a detached thread with all signals blocked.
  ///
  /// - Throws: `EAGAIN` when there can be no more threads.
  public static func start(name: String, _ run: @escaping @Sendable () -> Void) throws(Errno) {
    // SAFETY: the reference made here is taken back exactly once: by the thread, or below when it never ran.
    let body = Unmanaged.passRetained(Body(run))
    let result = cl_thread_start(
      name, { Unmanaged<Body>.fromOpaque($0.unsafelyUnwrapped).takeRetainedValue().run() },
      body.toOpaque())
    if result < 0 {
      body.release()
      throw Errno(rawValue: -result)
    }
  }
}
