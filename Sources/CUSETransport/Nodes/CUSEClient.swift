import ClientAccess
import SystemPackage
import Transport
import VFIOCore

/// The thread behind an ioctl, for the length of that ioctl; the kernel copies for us where we may not
/// reach its memory.
///
/// @unchecked: used by the one thread that answers the call.
final class CUSEClient: Client, @unchecked Sendable {
  private let process: ProcessClient
  private(set) var exchange: RetryExchange?

  init(_ thread: ClientThread, _ shared: ClientServices, exchange: RetryExchange? = nil) {
    process = ProcessClient(thread, shared)
    self.exchange = exchange
  }

  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) {
    if exchange == nil {
      do {
        return try process.read(address, into: buffer)
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
        return try process.write(address, from: buffer)
      } catch {
        guard error.meansNoRight else { throw error }
        exchange = RetryExchange()
      }
    }
    try exchange?.write(address, from: buffer)
  }

  func addressSpace() throws(Errno) -> any AddressSpace { try process.addressSpace() }

  func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)? { try process.file(fd) }

  func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal { try process.eventfd(fd) }

  func lockedMemoryLimit() throws(Errno) -> UInt64 { try process.lockedMemoryLimit() }

  func hasRawIO() throws(Errno) -> Bool { try process.hasRawIO() }
}
