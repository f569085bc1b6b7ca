import CLinux
import Glibc
import Synchronization
import SystemPackage
import Threads

/// Stands between whoever started us and the client: what becomes of one, the other learns.
final class ChildWatch: Sendable {
  /// What is passed on when somebody sends it to us. The terminal's own go to the whole foreground
  /// process group, and so to the client already.
  private static let passedOn = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT]
  /// What must not stop us while the client goes on.
  private static let swallowed = [SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD]

  private let child: Int32
  private let status = Mutex<Int32?>(nil)
  private let ended = Semaphore()
  /// What is to be done by the thread that sees stops.
  private let errands = Mutex<[@Sendable () -> Void]>([])
  private let trap = Mutex<RegisterTrap?>(nil)

  /// From now on, no signal that the client is meant to survive ends us. Before there is a client.
  static func takeSignals() {
    for signal in passedOn + swallowed { _ = cl_signals_watch(signal) }
  }

  init(_ child: Int32) {
    self.child = child
  }

  /// - Parameter trap: serves clients that map registers.
  func start(_ trap: RegisterTrap) throws(Errno) {
    self.trap.withLock { $0 = trap }
    try Thread.start(name: "signals") { self.run() }
  }

  /// Has the thread that sees stops of clients do something, soon: tracing is for one thread alone.
  func perform(_ errand: @escaping @Sendable () -> Void) {
    errands.withLock { $0.append(errand) }
    cl_signals_wake()
  }

  /// Lets a client map registers, or refuses.
  func admit(_ call: Call) {
    withTrap(call) { $0.admit(call) }
  }

  /// Has a client map registers by a descriptor that it gets for that.
  func map(_ call: Call, by descriptor: @escaping @Sendable () throws(Errno) -> Int32) {
    withTrap(call) { $0.map(call, by: descriptor) }
  }

  private func withTrap(_ call: Call, _ serve: @escaping @Sendable (RegisterTrap) -> Void) {
    guard let trap = trap.withLock({ $0 }), !trap.isDirecting(call) else {
      // Somebody has put another file where ours was.
      return call.fail(.badFileDescriptor)
    }
    perform { serve(trap) }
  }

  /// Waits for the end of the client: its exit status, 128+n for signal n.
  func exitStatus() -> Int32 {
    while true {
      if let status = status.withLock({ $0 }) { return status }
      _ = ended.wait(milliseconds: 60_000)
    }
  }

  private func run() {
    // It may have ended before we looked.
    look()
    var signal = cl_signal()
    while cl_signals_next(&signal) == 0 {
      let waiting = errands.withLock { errands in
        defer { errands.removeAll() }
        return errands
      }
      for errand in waiting { errand() }
      if signal.number == SIGCHLD {
        look()
      } else if Self.passedOn.contains(signal.number),
        signal.from_process || signal.number == SIGCONT, status.withLock({ $0 }) == nil
      {
        kill(child, signal.number)
      }
    }
  }

  private func look() {
    var (pid, value): (Int32, Int32) = (0, 0)
    while true {
      let news = cl_child_news(&pid, &value)
      if news == CL_CHILD_NONE { return }
      var isStopped = news == CL_CHILD_STOPPED
      if isStopped, cl_trap_is_ours(pid), let trap = trap.withLock({ $0 }) {
        isStopped = trap.stopped(pid, value)
      }
      // The others are orphans of the client's, which nobody else waits for.
      guard pid == child else { continue }
      switch news {
      case CL_CHILD_EXITED: end(value)
      case CL_CHILD_KILLED: end(128 + value)
      case CL_CHILD_STOPPED where isStopped: cl_signals_stop_self()
      default: continue
      }
    }
  }

  private func end(_ value: Int32) {
    status.withLock { $0 = value }
    ended.signal()
  }
}
