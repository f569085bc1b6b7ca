import CLinux
import ClientAccess
import Glibc
import SystemPackage
import VFIOABI

/// Writes a line for each system call that we answered: name, arguments, result, microseconds.
final class Trace: Sendable {
  private let fd: Int32

  /// - Parameter fd: where to; stays open as long as the process.
  init(_ fd: Int32) {
    self.fd = fd
  }

  /// To be called while the caller still waits, so that its memory can be looked at.
  ///
  /// - Parameter result: nil where the kernel will find it.
  func record(_ call: Call, _ result: Result<Int64, Errno>?) {
    guard let arrival = call.arrival else { return }
    let microseconds = (ContinuousClock.now - arrival) / .microseconds(1)
    let outcome =
      switch result {
      case nil: "?"
      case .success(let value): "\(value)"
      case .failure(let error): "-1 \(Self.name(of: error))"
      }
    let line =
      "\(call.thread.id) \(TraceDecoder(call: call).text) = \(outcome) <\(Int(microseconds)) us>\n"
    let bytes = Array(line.utf8)
    // SAFETY: the array's own storage; one write, so that lines stay whole.
    _ = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
  }

  private static func name(of error: Errno) -> String {
    guard let name = strerrorname(error.rawValue) else { return "\(error.rawValue)" }
    return name
  }

  private static func strerrorname(_ error: Int32) -> String? {
    guard let name = cl_error_name(error) else { return nil }
    // SAFETY: a static string of the C library.
    return String(cString: name)
  }
}
