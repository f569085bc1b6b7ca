import CLinux
import ClientAccess
import Glibc
import SystemPackage

/// Why a client's thread cannot be made to open a file: the errno it gets, and a sentence for the log.
struct DeliveryFailure: Error {
  var errno: Errno
  var sentence: String
}

/// A client's thread that we trace, from before its ioctl is answered until it goes on.
///
/// The sequence, all of it from one thread of ours since ptrace wants that: seize and interrupt; let the
/// ioctl return; the thread stops on its way to user mode; have it run system calls of our choice by
/// its own `syscall` instruction; put its registers back with the result; detach. The client sees an ioctl
/// that returned a descriptor. If we die on the way, the kernel kills it (PTRACE_O_EXITKILL).
struct SeizedThread: ~Copyable {
  /// What the ioctl returns until the result is known. Seeing it tells that our reply arrived.
  static let placeholder: Int32 = 0

  fileprivate let tid: Int32
  fileprivate let tgid: Int32

  /// Seizes `tid` and asks it to stop as soon as its system call returns.
  static func seize(_ tid: Int32) throws(DeliveryFailure) -> SeizedThread {
    let status: ProcFS.Status
    do { status = try ProcFS.status(of: tid) } catch {
      throw DeliveryFailure(
        errno: .permissionDenied, sentence: "the client is in a pid namespace we cannot see")
    }
    let result = cl_ptrace_seize(tid, status.seccomp != 0)
    switch Errno(rawValue: -result) {
    case _ where result == 0:
      break
    case .notPermitted where status.tracer != 0:
      throw DeliveryFailure(
        errno: .resourceBusy,
        sentence: "the client is traced by process \(status.tracer) (strace or a debugger), and a "
          + "descriptor can only be handed to a thread that nobody else traces")
    case .notPermitted where status.seccomp != 0:
      throw DeliveryFailure(
        errno: .permissionDenied,
        sentence: "not allowed to suspend the client's seccomp filter; vfio-cused serve needs "
          + "CAP_SYS_PTRACE and CAP_SYS_ADMIN, and must have no seccomp filter itself")
    case .notPermitted:
      throw DeliveryFailure(
        errno: .permissionDenied,
        sentence: "not allowed to trace the client; vfio-cused serve needs CAP_SYS_PTRACE and a "
          + "kernel.yama.ptrace_scope below 3")
    case .invalidArgument where status.seccomp != 0:
      throw DeliveryFailure(
        errno: .permissionDenied,
        sentence: "the client has a seccomp filter that this kernel cannot suspend "
          + "(PTRACE_O_SUSPEND_SECCOMP)")
    case let error:
      throw DeliveryFailure(errno: .permissionDenied, sentence: "cannot trace the client: \(error)")
    }
    _ = cl_ptrace_interrupt(tid)
    return SeizedThread(tid: tid, tgid: status.tgid)
  }

  /// Waits for the stop that follows the reply.
  ///
  /// - Returns: nil when the thread is gone.
  consuming func stopped(deadline: Duration) -> StoppedThread? {
    let watch = StopWatch(tid: tid, tgid: tgid, deadline: deadline)
    guard watch.waitForTrap() else { return nil }
    return StoppedThread(tid: tid, watch: watch)
  }
}

/// Waits for stops of one traced thread, in bounded time.
///
/// A client can make a system call of its own take for ever, by a FUSE file system of its own, say. It
/// may harm itself by that but not keep our thread: past the deadline it is killed.
final class StopWatch {
  private let tid: Int32
  private let tgid: Int32
  /// A SIGSTOP that came while we held the thread, to be sent again.
  private(set) var owesStop = false
  private(set) var isGone = false

  init(tid: Int32, tgid: Int32, deadline: Duration) {
    self.tid = tid
    self.tgid = tgid
    cl_alarm(UInt32(clamping: Int64(deadline / .milliseconds(1))))
  }

  deinit {
    cl_alarm(0)
    if owesStop { cl_tgkill(tgid, tid, SIGSTOP) }
  }

  func waitForTrap() -> Bool {
    while true {
      var signal: Int32 = 0
      switch wait(&signal) {
      case .some(CL_WAIT_TRAP): return true
      case .some(CL_WAIT_SIGNAL): hold(signal)
      case .some(CL_WAIT_SYSCALL): break
      default: return false
      }
      guard goOn() else { return false }
    }
  }

  /// Runs the thread to its next entry into or return from a system call.
  func runToSyscallStop() -> Bool {
    while goOn() {
      var signal: Int32 = 0
      switch wait(&signal) {
      case .some(CL_WAIT_SYSCALL): return true
      case .some(CL_WAIT_SIGNAL): hold(signal)
      case .some(CL_WAIT_TRAP): break  // a group stop: the kernel stops it again when we let go
      default: return false
      }
    }
    return false
  }

  /// What a ptrace call that failed means: the thread is dying. It stays a zombie until we have seen it.
  func reap() {
    var signal: Int32 = 0
    while !isGone {
      guard wait(&signal) != nil else { return }
    }
  }

  private func goOn() -> Bool {
    if cl_ptrace_syscall(tid) == 0 { return true }
    reap()
    return false
  }

  /// Only SIGSTOP gets here while all others are blocked; it has to be sent again.
  private func hold(_ signal: Int32) {
    if signal == SIGSTOP { owesStop = true }
  }

  private func wait(_ signal: inout Int32) -> cl_wait? {
    while true {
      let result = cl_ptrace_wait(tid, &signal)
      if result == -EINTR {
        cl_tgkill(tgid, tid, SIGKILL)
        continue
      }
      guard result >= 0 else { return nil }
      let stop = cl_wait(rawValue: UInt32(result))
      if stop == CL_WAIT_GONE { isGone = true }
      return stop
    }
  }
}
