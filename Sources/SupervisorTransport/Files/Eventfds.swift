import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import VFIOCore

/// The eventfds of clients, where pidfd_getfd(2) is forbidden: we make them and keep a copy of each.
///
/// Nobody tells when one is closed, so that only the last ones are kept.
final class Eventfds: Sendable {
  private static let limit = 512
  /// `EFD_CLOEXEC`.
  private static let closeOnExec: Int32 = O_CLOEXEC

  /// A ring: the oldest is replaced.
  private struct State {
    var ids: [UInt64] = []
    var fds: [Int32] = []
    var next = 0
  }

  private let state = Mutex(State())

  /// Whether we may not take copies of descriptors.
  static var areNeeded: Bool {
    let process = cl_pidfd_open(getpid())
    guard process >= 0 else { return true }
    defer { _ = cl_close(process) }
    let copy = cl_pidfd_getfd(process, process)
    if copy >= 0 { _ = cl_close(copy) }
    return copy < 0
  }

  /// Answers eventfd(2).
  func make(_ call: Call, flags: Int32) {
    do throws(Errno) {
      let count = UInt32(truncatingIfNeeded: call.argument0)
      let fd = OwnedFD(owning: try cl_eventfd_with(count, flags).checked())
      let id = try ProcFS.eventfdID(of: getpid(), fd: fd.rawValue)
      let number = try call.addDescriptor(
        fd.rawValue, closeOnExec: flags & Self.closeOnExec != 0)
      keep(fd.relinquish(), id)
      call.answer(Int64(number))
    } catch {
      call.fail(error)
    }
  }

  /// The eventfd behind a client's descriptor.
  ///
  /// - Throws: `EBADF` when it is not open, `EINVAL` when it is something else or no longer known.
  func copy(
    of fd: Int32, _ thread: ClientThread, _ events: EventMonitor
  ) throws(Errno) -> ClientEventFD {
    let id = try ProcFS.eventfdID(of: thread.id, fd: fd)
    let copy = state.withLock { state in
      state.ids.firstIndex(of: id).map { fcntl(state.fds[$0], F_DUPFD_CLOEXEC, 0) }
    }
    guard let copy else { throw .invalidArgument }
    guard copy >= 0 else { throw .tooManyOpenFiles }
    return ClientEventFD(OwnedFD(owning: copy), monitor: events)
  }

  private func keep(_ fd: Int32, _ id: UInt64) {
    let old: Int32? = state.withLock { state in
      guard state.fds.count >= Self.limit else {
        state.ids.append(id)
        state.fds.append(fd)
        return nil
      }
      let old = state.fds[state.next]
      state.ids[state.next] = id
      state.fds[state.next] = fd
      state.next = (state.next + 1) % Self.limit
      return old
    }
    if let old { _ = cl_close(old) }
  }
}
