import CLinux
import ClientAccess
import SystemPackage
import VFIOABI

/// The listener of the filter: where system calls of the process tree arrive and are answered.
final class Listener: Sendable {
  private let fd: OwnedFD
  let trace: Trace?

  init(owning fd: Int32, trace: Trace?) {
    self.fd = OwnedFD(owning: fd)
    self.trace = trace
    // A hint about scheduling; kernels before 6.6 do without.
    _ = cl_seccomp_take_turns(fd)
  }

  /// Waits for the next call.
  ///
  /// - Throws: `ENOENT` when a caller was gone at once; anything else is for good, as `EPIPE` when all are gone.
  func next() throws(Errno) -> Call {
    var c = cl_call()
    try cl_seccomp_receive(fd.rawValue, &c).checked()
    return Call(c, self, arrival: trace == nil ? nil : .now)
  }

  /// Waits until no process with the filter is left.
  func waitUntilUnused() {
    while cl_seccomp_wait_unused(fd.rawValue) < 0 {}
  }

  fileprivate func answer(_ id: UInt64, _ value: Int64, _ error: Int32) -> Bool {
    cl_seccomp_answer(fd.rawValue, id, value, error) == 0
  }

  fileprivate func proceed(_ id: UInt64) {
    _ = cl_seccomp_continue(fd.rawValue, id)
  }

  fileprivate func isWaiting(_ id: UInt64) -> Bool {
    cl_seccomp_is_waiting(fd.rawValue, id)
  }

  fileprivate func addDescriptor(_ id: UInt64, _ file: Int32, closeOnExec: Bool) -> Int32 {
    cl_seccomp_add_fd(fd.rawValue, id, file, closeOnExec)
  }
}

/// One system call that waits for us.
struct Call: Sendable {
  private let c: cl_call
  private let listener: Listener
  /// When it came; nil where nobody wants to know.
  let arrival: ContinuousClock.Instant?
  /// What the numbers of an ioctl's requests mean, for whoever wants to know.
  var requests = RequestSet.draft2011

  fileprivate init(_ c: cl_call, _ listener: Listener, arrival: ContinuousClock.Instant?) {
    self.c = c
    self.listener = listener
    self.arrival = arrival
  }

  var name: cl_call_name { c.name }
  var thread: ClientThread { ClientThread(id: c.thread) }

  // The arguments as they came: every bit is the client's.
  var argument0: UInt64 { c.arguments.0 }
  var argument1: UInt64 { c.arguments.1 }
  var argument2: UInt64 { c.arguments.2 }
  var argument3: UInt64 { c.arguments.3 }
  var argument4: UInt64 { c.arguments.4 }
  var argument5: UInt64 { c.arguments.5 }

  /// An argument that the kernel takes for an `int`.
  static func int(_ argument: UInt64) -> Int32 { Int32(truncatingIfNeeded: argument) }

  /// Whether the caller is still there: what was found by its thread id before is then its own.
  var isWaiting: Bool { listener.isWaiting(c.id) }

  /// Ends the call with `value`.
  func answer(_ value: Int64) {
    listener.trace?.record(self, .success(value))
    _ = listener.answer(c.id, value, 0)
  }

  func fail(_ error: Errno) {
    listener.trace?.record(self, .failure(error))
    _ = listener.answer(c.id, 0, error.rawValue)
  }

  /// Lets the kernel carry out what is one of ours.
  func allow() {
    listener.trace?.record(self, nil)
    listener.proceed(c.id)
  }

  /// Lets the kernel carry it out, as without us.
  func proceed() {
    listener.proceed(c.id)
  }

  /// Gives the caller a copy of our descriptor `fd`, under its lowest free number. It still waits.
  func addDescriptor(_ fd: Int32, closeOnExec: Bool) throws(Errno) -> Int32 {
    try listener.addDescriptor(c.id, fd, closeOnExec: closeOnExec).checked()
  }
}
