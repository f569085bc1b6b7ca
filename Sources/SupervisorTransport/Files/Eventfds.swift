import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import VFIOCore

/// The eventfds of clients, where pidfd_getfd(2) is forbidden: we make them and keep a copy of each.
///
/// Nobody tells when one is closed: once there are many, we look at what processes have open.
final class Eventfds: Sendable {
  /// As many are kept without a look.
  private static let few = 512
  /// `EFD_CLOEXEC`.
  private static let closeOnExec: Int32 = O_CLOEXEC

  private struct State {
    /// Our copies, by the numbers that eventfds have. While we have one, no other gets its number.
    var copies: [UInt64: Int32] = [:]
    /// With how many copies to look which are still open.
    var many = Eventfds.few
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
      removeClosed()
      let number = try call.addDescriptor(
        fd.rawValue, closeOnExec: flags & Self.closeOnExec != 0)
      let copy = fd.relinquish()
      state.withLock { $0.copies[id] = copy }
      call.answer(Int64(number))
    } catch {
      call.fail(error)
    }
  }

  /// The eventfd behind a client's descriptor.
  ///
  /// - Throws: `EBADF` when it is not open, `EINVAL` when it is something else or not known.
  func copy(
    of fd: Int32, _ thread: ClientThread, _ events: EventMonitor
  ) throws(Errno) -> ClientEventFD {
    let id = try ProcFS.eventfdID(of: thread.id, fd: fd)
    let copy = state.withLock { state in
      state.copies[id].map { fcntl($0, F_DUPFD_CLOEXEC, 0) }
    }
    guard let copy else { throw .invalidArgument }
    guard copy >= 0 else { throw .tooManyOpenFiles }
    return ClientEventFD(OwnedFD(owning: copy), monitor: events)
  }

  /// Closes copies of what no process has open, where there are many. What is on its way from one to
  /// another just then, by a socket, is lost to us.
  private func removeClosed() {
    guard state.withLock({ $0.copies.count >= $0.many }) else { return }
    let before = state.withLock { Set($0.copies.keys) }
    let closed = before.subtracting(Self.open())
    let copies = state.withLock { state in
      let copies = closed.compactMap { state.copies.removeValue(forKey: $0) }
      state.many = max(Self.few, 2 * state.copies.count)
      return copies
    }
    for copy in copies { _ = cl_close(copy) }
  }

  /// The eventfds that processes other than we have open.
  private static func open() -> Set<UInt64> {
    var ids: Set<UInt64> = []
    for process in ScratchTree.names(in: "/proc").compactMap({ Int32($0) })
    where process != getpid() {
      for name in ScratchTree.names(in: "/proc/\(process)/fd") {
        guard ProcessLink.text("/proc/\(process)/fd/\(name)") == "anon_inode:[eventfd]",
          let fd = Int32(name), let id = try? ProcFS.eventfdID(of: process, fd: fd)
        else { continue }
        ids.insert(id)
      }
    }
    return ids
  }
}
