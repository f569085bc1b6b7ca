import ClientAccess
import SystemPackage
import Testing

@testable import CUSETransport

/// The retry protocol, with the kernel's part played here.
@Suite struct RetryTests {
  /// What an ioctl does that reads 8 bytes at 0x1000, 4 at 0x2000, and writes the sum to 0x1000.
  private func run(_ exchange: RetryExchange) throws(Errno) {
    var eight: UInt64 = 0
    var four: UInt32 = 0
    try withUnsafeMutableBytes(of: &eight) { buffer throws(Errno) in
      try exchange.read(ClientAddress(0x1000), into: buffer)
    }
    try withUnsafeMutableBytes(of: &four) { buffer throws(Errno) in
      try exchange.read(ClientAddress(0x2000), into: buffer)
    }
    let sum = eight + UInt64(four)
    try withUnsafeBytes(of: sum) { buffer throws(Errno) in
      try exchange.write(ClientAddress(0x1000), from: buffer)
    }
  }

  @Test func rangesAreNamedOneByOneAndThenUsed() throws {
    let exchange = RetryExchange()
    let eight: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0]
    let four: [UInt8] = [2, 0, 0, 0]
    var calls = 0
    while true {
      calls += 1
      do {
        try run(exchange)
        break
      } catch {
        #expect(exchange.isIncomplete)
        let inputs = exchange.inputVectors.map { UInt(bitPattern: $0.iov_base) }
        let data = inputs.flatMap { $0 == 0x1000 ? eight : four }
        let outputSize = exchange.outputVectors.reduce(0) { $0 + $1.iov_len }
        let fits = data.withUnsafeBytes { exchange.resume($0, outputSize: outputSize) }
        #expect(fits)
      }
      try #require(calls < 10)
    }
    #expect(calls == 4)
    #expect(!exchange.isIncomplete)
    #expect(exchange.output == [3, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test func anAnswerOfAnotherSizeIsRefused() {
    let exchange = RetryExchange()
    #expect(throws: Errno.badAddress) { try run(exchange) }
    let short: [UInt8] = [1, 2, 3]
    let fits = short.withUnsafeBytes { exchange.resume($0, outputSize: 0) }
    #expect(!fits)
  }

  @Test func aRangeThatWrapsIsABadAddress() {
    let exchange = RetryExchange()
    var value: UInt64 = 0
    #expect(throws: Errno.badAddress) {
      try withUnsafeMutableBytes(of: &value) { buffer throws(Errno) in
        try exchange.read(ClientAddress(.max), into: buffer)
      }
    }
    #expect(!exchange.isIncomplete)
  }

  @Test func theTableKeepsOneCallAThread() {
    let table = RetryTable()
    let exchange = RetryExchange()
    #expect(throws: Errno.badAddress) { try run(exchange) }
    let thread = ClientThread(id: 7)
    let data = [UInt8](repeating: 0, count: 8)
    func resume(_ command: UInt32, _ argument: UInt64) -> RetryExchange? {
      data.withUnsafeBytes { table.resume(thread, command, argument, $0, 0) }
    }
    table.save(exchange, thread, 1, 0x1000)
    #expect(resume(2, 0x1000) == nil)
    #expect(resume(1, 0x1000) == nil)  // the other call has ended it
    table.save(exchange, thread, 1, 0x1000)
    #expect(resume(1, 0x1000) === exchange)
  }
}
