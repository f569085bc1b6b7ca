import CLinux
import ClientAccess
import Glibc
import SystemPackage
import Transport

/// A client that has its filter and waits for the word to become its program.
struct Launch: ~Copyable {
  private var child: cl_child

  var pid: Int32 { child.pid }
  /// The filter's listener, to be closed by whoever takes it.
  var listener: Int32 { child.listener }

  /// - Throws: why there can be no client, as a sentence.
  ///
  /// - Parameter eventfds: whether the making of eventfds is notified.
  init(_ command: [String], eventfds: Bool) throws(TransportError) {
    try Self.checkReadable(command)
    var filter = [sock_filter](repeating: sock_filter(), count: 256)
    let length = cl_seccomp_filter(&filter, filter.count, eventfds)
    var child = cl_child()
    var step: Int32 = 0
    let result = Self.withArguments(command) { argv in
      cl_launch(filter, Int(max(length, 0)), argv, &child, &step)
    }
    if result < 0 { throw Self.failure(Int(step), Errno(rawValue: -result)) }
    self.child = child
  }

  /// Whether we may look into the client, which is still a copy of ourselves.
  func checkAccess() throws(TransportError) {
    var byte: UInt8 = 0
    var probe: UInt8 = 0
    let result = withUnsafeMutablePointer(to: &probe) { address in
      // SAFETY: one byte into a local; the address is one of the child's, whatever is there.
      cl_process_vm_read(child.pid, &byte, UInt64(UInt(bitPattern: address)), 1)
    }
    if result < 0 && result != -Int(EFAULT) { throw Self.noAccess(Errno(rawValue: Int32(-result))) }
  }

  /// Lets the client become its program.
  consuming func go(_ command: [String]) throws(TransportError) {
    let result = cl_launch_go(&child)
    if result < 0 {
      let error = Errno(rawValue: -result)
      throw TransportError(
        error == .noSuchFileOrDirectory ? .noSuchProgram : .cannotRun,
        "cannot run \(command[0]): \(error)")
    }
  }

  consuming func cancel() {
    cl_launch_cancel(&child)
  }

  /// Becomes the program ourselves; comes back only where that fails.
  static func become(_ command: [String]) -> TransportError {
    let error = Errno(rawValue: -withArguments(command) { cl_become($0) })
    return TransportError(
      error == .noSuchFileOrDirectory ? .noSuchProgram : .cannotRun,
      "cannot run \(command[0]): \(error)")
  }

  private static func withArguments<R>(
    _ command: [String],
    _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    return body(&arguments)
  }

  // MARK: Why it cannot work

  private static func failure(_ step: Int, _ error: Errno) -> TransportError {
    guard step == CL_LAUNCH_FILTER else {
      return TransportError(.system, "cannot make a process: \(error)")
    }
    switch error {
    case .resourceBusy:
      return TransportError(
        .unavailable,
        """
        this process tree has a seccomp listener already, and the kernel allows one: run \
        vfio-cused outside of the container or supervisor that set it, or use vfio-cused serve
        """)
    case .invalidArgument:
      return TransportError(
        .unavailable,
        """
        the kernel has no seccomp listener that survives signals: vfio-cused run needs Linux 5.19 or \
        later
        """)
    case .noFunction, .notPermitted, .permissionDenied:
      return TransportError(
        .unavailable,
        """
        seccomp(2) is not to be had here (\(error)): allow it in the container's profile, or use \
        vfio-cused serve
        """)
    default:
      return TransportError(.system, "cannot install a seccomp filter: \(error)")
    }
  }

  private static func noAccess(_ error: Errno) -> TransportError {
    switch Yama.scope {
    case 3:
      return TransportError(
        .unavailable,
        """
        kernel.yama.ptrace_scope is 3, so that no process may look into another: use vfio-cused \
        serve, or boot with another setting
        """)
    case 2:
      return TransportError(
        .unavailable,
        """
        kernel.yama.ptrace_scope is 2 and user namespaces are forbidden, so that only an \
        administrator may look into other processes: run as root, or set it to 1
        """)
    default:
      return TransportError(
        .unavailable,
        """
        the client's memory cannot be reached (\(error)): allow process_vm_readv in the container's \
        seccomp profile, or use vfio-cused serve
        """)
    }
  }

  /// The kernel lets nobody but root look into a program whose file cannot be read.
  private static func checkReadable(_ command: [String]) throws(TransportError) {
    guard geteuid() != 0, let path = executable(command[0]), access(path, R_OK) != 0 else { return }
    throw TransportError(
      .unavailable,
      "\(path) cannot be read, so that its process cannot be looked into: make a copy with chmod +r"
    )
  }

  /// The file that execvp(3) would run.
  private static func executable(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/bin:/usr/bin"
    for directory in path.split(separator: ":", omittingEmptySubsequences: false) {
      let candidate = "\(directory.isEmpty ? "." : directory)/\(name)"
      if access(candidate, X_OK) == 0 { return candidate }
    }
    return nil
  }
}
