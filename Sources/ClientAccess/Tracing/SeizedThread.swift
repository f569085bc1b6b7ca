import CLinux
import Glibc
public import SystemPackage

/// Why a client's thread cannot be made to run system calls: the errno it gets, and a sentence for the log.
public struct TracingFailure: Error {
  public var errno: Errno
  public var sentence: String

  public init(errno: Errno, sentence: String) {
    self.errno = errno
    self.sentence = sentence
  }
}

/// A client's thread that we trace, from before its system call is answered until it goes on.
///
/// The sequence, all of it from one thread of ours since ptrace wants that: seize and interrupt; let the
/// call return; the thread stops on its way to user mode; have it run system calls of our choice by
/// its own `syscall` instruction; put its registers back with the result; detach. The client sees a call
/// that returned the result. If we die on the way, the kernel kills it (PTRACE_O_EXITKILL).
public struct SeizedThread: ~Copyable {
  /// What the call returns until the result is known. Seeing it tells that our reply arrived.
  public static let placeholder: Int32 = 0

  /// What we are to the client.
  public enum Tracer: Sendable {
    /// No relation, with `CAP_SYS_ADMIN`: seccomp filters of the client's own do not judge our calls.
    case administrator
    /// Its parent, or who became that by its parent's end. Learns of the client's own end elsewhere.
    case ancestor
  }

  private let tid: Int32
  private let tgid: Int32
  private let tracer: Tracer
  /// Whether we trace it anyway, by `cl_trap_seize`.
  private let isKept: Bool

  /// Seizes `tid` and asks it to stop as soon as its system call returns. One that the calling thread has
  /// seized by `cl_trap_seize` stays so.
  public static func seize(
    _ tid: Int32, as tracer: Tracer
  ) throws(TracingFailure) -> SeizedThread {
    let status: ProcFS.Status
    do { status = try ProcFS.status(of: tid) } catch {
      throw TracingFailure(
        errno: .permissionDenied, sentence: "the client is in a pid namespace we cannot see")
    }
    if status.tracer == cl_gettid() {
      _ = cl_ptrace_interrupt(tid)
      return SeizedThread(tid: tid, tgid: status.tgid, tracer: tracer, isKept: true)
    }
    let isFiltered = tracer == .administrator && status.seccomp != 0
    let result = cl_ptrace_seize(tid, isFiltered)
    switch Errno(rawValue: -result) {
    case _ where result == 0:
      break
    case .notPermitted where status.tracer != 0:
      throw TracingFailure(
        errno: .resourceBusy,
        sentence: "the client is traced by process \(status.tracer) (strace or a debugger), and a "
          + "call like this one can only be carried out for a thread that nobody else traces")
    case .notPermitted where isFiltered:
      throw TracingFailure(
        errno: .permissionDenied,
        sentence: "not allowed to suspend the client's seccomp filter; vfio-cused serve needs "
          + "CAP_SYS_PTRACE and CAP_SYS_ADMIN, and must have no seccomp filter itself")
    case .notPermitted:
      throw TracingFailure(
        errno: .permissionDenied,
        sentence:
          "not allowed to trace the client; that takes CAP_SYS_PTRACE or to be its parent, and a "
          + "kernel.yama.ptrace_scope below 3")
    case .invalidArgument where isFiltered:
      throw TracingFailure(
        errno: .permissionDenied,
        sentence: "the client has a seccomp filter that this kernel cannot suspend "
          + "(PTRACE_O_SUSPEND_SECCOMP)")
    case let error:
      throw TracingFailure(errno: .permissionDenied, sentence: "cannot trace the client: \(error)")
    }
    _ = cl_ptrace_interrupt(tid)
    return SeizedThread(tid: tid, tgid: status.tgid, tracer: tracer, isKept: false)
  }

  /// Waits for the stop that follows the reply.
  ///
  /// - Returns: nil when the thread is gone.
  public consuming func stopped(deadline: Duration) -> StoppedThread? {
    let watch = StopWatch(tid: tid, tgid: tgid, tracer: tracer, deadline: deadline)
    guard watch.waitForTrap() else { return nil }
    return StoppedThread(tid: tid, watch: watch, isKept: isKept)
  }
}
