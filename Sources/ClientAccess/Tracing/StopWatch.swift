import CLinux
import Glibc

/// Waits for stops of one traced thread, in bounded time.
///
/// A client can make a system call of its own take for ever, by a FUSE file system of its own, say. It
/// may harm itself by that but not keep our thread: past the deadline it is killed.
final class StopWatch {
  private let tid: Int32
  private let tgid: Int32
  private let tracer: SeizedThread.Tracer
  /// A SIGSTOP that came while we held the thread, to be sent again.
  private(set) var owesStop = false
  private(set) var isGone = false

  init(tid: Int32, tgid: Int32, tracer: SeizedThread.Tracer, deadline: Duration) {
    self.tid = tid
    self.tgid = tgid
    self.tracer = tracer
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
      let result = tracer == .ancestor ? peek(&signal) : cl_ptrace_wait(tid, &signal)
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

  /// Waits for a stop. The thread's end stays to be waited for.
  private func peek(_ signal: inout Int32) -> Int32 {
    var info = siginfo_t()
    guard waitid(P_PID, id_t(tid), &info, WSTOPPED | WEXITED | WNOWAIT | allThreads) == 0 else {
      return errno == EINTR ? -EINTR : Int32(CL_WAIT_GONE.rawValue)
    }
    let isStop = info.si_code == Int32(CLD_TRAPPED) || info.si_code == Int32(CLD_STOPPED)
    return isStop ? cl_ptrace_wait(tid, &signal) : Int32(CL_WAIT_GONE.rawValue)
  }
}

/// `__WALL`.
private let allThreads: Int32 = 0x4000_0000
