import CLinux
import ClientAccess
import Glibc

/// The security module that restricts ptrace, and so process_vm_readv and pidfd_getfd
/// (Documentation/admin-guide/LSM/Yama.rst).
enum Yama {
  /// `kernel.yama.ptrace_scope`; nil on kernels without it.
  static var scope: Int? {
    guard let digit = (try? ProcFS.contents("/proc/sys/kernel/yama/ptrace_scope"))?.first,
      (UInt8(ascii: "0")...UInt8(ascii: "3")).contains(digit)
    else { return nil }
    return Int(digit - UInt8(ascii: "0"))
  }

  /// Where only administrators may look into processes, becomes one, of a user namespace that the clients
  /// will be in. To be called while there is one thread.
  static func gainAccess() {
    let capSysPtrace: UInt64 = 1 << 19
    guard scope == 2, let status = try? ProcFS.status(of: getpid()),
      status.effectiveCapabilities & capSysPtrace == 0
    else { return }
    // Where that is forbidden, the launch says why it fails.
    _ = cl_enter_user_namespace()
  }
}
