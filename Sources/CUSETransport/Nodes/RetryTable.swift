import ClientAccess
import Glibc
import Synchronization

/// The exchanges that wait for the kernel's next call, one a thread at most.
final class RetryTable: Sendable {
  private struct Entry {
    var command: UInt32
    var argument: UInt64
    var exchange: RetryExchange
  }

  /// @unchecked: an exchange is in the table or with the one thread that took it out.
  private struct Entries: @unchecked Sendable {
    var byThread: [Int32: Entry] = [:]
  }

  private let entries = Mutex(Entries())

  func save(
    _ exchange: RetryExchange, _ thread: ClientThread, _ command: UInt32, _ argument: UInt64
  ) {
    let entry = Entry(command: command, argument: argument, exchange: exchange)
    entries.withLock { entries in
      // Threads that died between two calls leave theirs behind.
      if entries.byThread.count >= 4096 { entries.byThread.removeAll() }
      entries.byThread[thread.id] = entry
    }
  }

  /// The exchange that this call continues.
  func resume(
    _ thread: ClientThread, _ command: UInt32, _ argument: UInt64,
    _ input: UnsafeRawBufferPointer, _ outputSize: Int
  ) -> RetryExchange? {
    if input.isEmpty && outputSize == 0 { return nil }
    let entry = entries.withLock { $0.byThread.removeValue(forKey: thread.id) }
    guard let entry, entry.command == command, entry.argument == argument,
      entry.exchange.resume(input, outputSize: outputSize)
    else { return nil }
    return entry.exchange
  }
}
