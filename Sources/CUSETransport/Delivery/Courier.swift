import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Threads

/// Opens a file of our own mount and sends the descriptor to a client's socket.
///
/// That open waits for our own threads. Were we killed just then, the thread would wait for ever with our
/// session descriptors in its table, and keep the connection it waits for alive; so it has a table of its
/// own without them, and lives for one delivery.
enum Courier {
  /// - Returns: 0, or why it did not arrive.
  static func send(
    _ expected: FileMount.Expected, of mount: FileMount, to client: Int32, socket: Int32
  ) -> Errno {
    let box = Box()
    do throws(Errno) {
      try Thread.start(name: "courier") {
        box.outcome.store(-deliver(expected, mount, client, socket), ordering: .releasing)
        box.done.signal()
      }
    } catch {
      return error
    }
    // A client can put something in the socket's place that makes our close wait; not for us.
    guard box.done.wait(milliseconds: 10_000) else { return .ioError }
    return Errno(rawValue: box.outcome.load(ordering: .acquiring))
  }

  private final class Box: Sendable {
    let outcome = Atomic<Int32>(EIO)
    let done = Semaphore()
  }

  /// 0 or a negative errno.
  private static func deliver(
    _ expected: FileMount.Expected, _ mount: FileMount, _ client: Int32, _ socket: Int32
  ) -> Int32 {
    let isolated = cl_own_descriptor_table()
    if isolated < 0 { return isolated }
    do throws(Errno) {
      guard try ClientThread(id: client).isSocket(socket) else { return -EBADF }
      let process = OwnedFD(
        owning: try cl_pidfd_open(try ProcFS.status(of: client).tgid).checked())
      let far = OwnedFD(owning: try cl_pidfd_getfd(process.rawValue, socket).checked())
      mount.setOpener(cl_gettid(), of: expected)
      let file = try OwnedFD(path: expected.path, O_RDWR)
      try cl_send_fd(far.rawValue, file.rawValue).checked()
      return 0
    } catch {
      return -error.rawValue
    }
  }
}
