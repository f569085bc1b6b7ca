import CLinux
import Glibc

/// What we tell the service manager, sd_notify(3), where there is one.
enum ServiceManager {
  static func notify(_ message: String) {
    guard let socket = getenv("NOTIFY_SOCKET") else { return }
    _ = cl_notify(socket, message)
  }
}

/// Writes one line for people; the log goes elsewhere.
func say(_ sentence: String) {
  let line = Array("vfio-cused: \(sentence)\n".utf8)
  // SAFETY: the array's own storage, for the length of the call.
  _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
