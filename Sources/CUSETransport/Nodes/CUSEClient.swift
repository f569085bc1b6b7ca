import ClientAccess
import Glibc
import Logging
import SystemPackage
import VFIOCore

/// The thread behind an ioctl, for the length of that ioctl.
///
/// @unchecked: used by the one thread that answers the call.
final class CUSEClient: Client, @unchecked Sendable {
  private let thread: ClientThread
  private let shared: ClientServices
  /// The kernel copies for us where we may not reach the memory ourselves.
  private(set) var exchange: RetryExchange?

  init(_ thread: ClientThread, _ shared: ClientServices, exchange: RetryExchange? = nil) {
    self.thread = thread
    self.shared = shared
    self.exchange = exchange
  }

  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) {
    if exchange == nil {
      do {
        return try thread.read(address, into: buffer)
      } catch {
        guard error.meansNoRight else { throw error }
        exchange = RetryExchange()
      }
    }
    try exchange?.read(address, into: buffer)
  }

  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    if exchange == nil {
      do {
        return try thread.write(address, from: buffer)
      } catch {
        guard error.meansNoRight else { throw error }
        exchange = RetryExchange()
      }
    }
    try exchange?.write(address, from: buffer)
  }

  func addressSpace() throws(Errno) -> any AddressSpace {
    do throws(Errno) {
      let status = try ProcFS.status(of: thread.id)
      return try shared.addressSpaces.addressSpace(of: thread.id, tgid: status.tgid)
    } catch {
      guard error.meansNoRight else { throw error }
      shared.logger.warning(
        """
        cannot tell whose call this is: the client cannot be examined; vfio-cused serve needs \
        CAP_SYS_PTRACE, a kernel.yama.ptrace_scope below 3, and a pid namespace that holds its clients
        """, metadata: ["pid": "\(thread.id)", "errno": "\(error)"])
      throw .permissionDenied
    }
  }

  func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)? {
    shared.file(try thread.identify(fd))
  }

  func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal {
    try thread.eventfd(fd, monitor: shared.events)
  }

  func lockedMemoryLimit() throws(Errno) -> UInt64 {
    try thread.lockedMemoryLimit()
  }
}

/// What clients share for as long as the transport runs.
struct ClientServices: Sendable {
  let addressSpaces = AddressSpaceTable()
  let events: EventMonitor
  let logger: Logger
  /// The VFIO file that a descriptor with this identity leads to.
  let file: @Sendable (FileIdentity) -> (any VFIOFile)?
}

extension Errno {
  /// Not allowed to reach into the caller, or not able to see it: the kernel can still copy.
  fileprivate var meansNoRight: Bool {
    self == .notPermitted || self == .permissionDenied || self == .noSuchProcess
  }
}
