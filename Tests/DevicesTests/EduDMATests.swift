import DeviceKit
import Devices
import Testing

struct EduDMATests {
  let bench = EduBench()
  private let duration = Duration.milliseconds(100)

  private func fill(_ address: Int, _ bytes: [UInt8]) {
    let range = address..<(address + bytes.count)
    bench.port.state.withLock { $0.memory.replaceSubrange(range, with: bytes) }
  }

  private func memory(_ range: Range<Int>) -> [UInt8] {
    bench.port.state.withLock { Array($0.memory[range]) }
  }

  private func run(source: UInt64, destination: UInt64, count: UInt64, command: UInt64) {
    bench.start(source: source, destination: destination, count: count, command: command)
    bench.port.scheduler.advance(by: duration)
  }

  @Test func roundTrip() {
    let bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 * 7) }
    fill(0x1000, bytes)
    run(source: 0x1000, destination: 0x40000, count: 4096, command: 1)
    run(source: 0x40000, destination: 0x4000, count: 4096, command: 3)
    #expect(memory(0x4000..<0x5000) == bytes)
    #expect(bench.read(0x24) == 0)
    #expect(bench.port[\.reports].isEmpty)
  }

  @Test func partOfTheBuffer() {
    fill(0x1003, [1, 2, 3, 4, 5])
    run(source: 0x1003, destination: 0x40ffb, count: 5, command: 1)
    run(source: 0x40ffa, destination: 0x2007, count: 6, command: 3)
    #expect(memory(0x2006..<0x200e) == [0, 0, 1, 2, 3, 4, 5, 0])
  }

  @Test func takes100Milliseconds() {
    fill(0x1000, [0xaa])
    bench.start(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    #expect(bench.read(0x98) == 1)
    bench.port.scheduler.advance(by: duration - .nanoseconds(1))
    #expect(bench.read(0x98) == 1)
    #expect(bench.port[\.transfers] == 0)
    bench.port.scheduler.advance(by: .nanoseconds(1))
    #expect(bench.read(0x98) == 0)
    #expect(bench.port[\.transfers] == 1)
  }

  @Test func registersAreIgnoredWhileItRuns() {
    bench.start(source: 0x1000, destination: 0x40000, count: 8, command: 1)
    for offset in [0x80 as UInt64, 0x88, 0x90] { bench.write(offset, 0x77) }
    bench.write(0x98, 7)
    #expect(bench.read(0x80) == 0x1000)
    #expect(bench.read(0x88) == 0x40000)
    #expect(bench.read(0x90) == 8)
    #expect(bench.read(0x98) == 1)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.read(0x24) == 0)
    #expect(bench.port.scheduler.pending == 0)
    bench.write(0x80, 0x77)
    #expect(bench.read(0x80) == 0x77)
  }

  @Test func commandWithoutStartIsIgnored() {
    bench.write(0x98, 6)
    #expect(bench.read(0x98) == 0)
    #expect(bench.port.scheduler.pending == 0)
  }

  @Test func interruptWhenDone() {
    bench.start(source: 0, destination: 0x40000, count: 1, command: 5)
    #expect(bench.read(0x98) == 5)
    #expect(bench.read(0x24) == 0)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.read(0x98) == 4)
    #expect(bench.read(0x24) == 0x100)
    #expect(bench.port[\.isINTxAsserted])
  }

  @Test func addressesInMemoryHave28Bits() {
    fill(0x1000, [0x5a])
    run(source: 0xf000_0000_1000, destination: 0x40000, count: 1, command: 1)
    run(source: 0x40000, destination: 0x1_1000_2000, count: 1, command: 3)
    #expect(memory(0x2000..<0x2001) == [0x5a])
  }

  struct Outside: Sendable {
    var source: UInt64
    var destination: UInt64
    var count: UInt64
    var command: UInt64
  }

  static let outside: [Outside] = [
    Outside(source: 0x1000, destination: 0x3ffff, count: 1, command: 1),
    Outside(source: 0x1000, destination: 0x41000, count: 1, command: 1),
    Outside(source: 0x1000, destination: 0x40000, count: 4097, command: 1),
    Outside(source: 0x1000, destination: 0x40fff, count: 2, command: 1),
    Outside(source: 0x1000, destination: 0, count: 1, command: 5),
    Outside(source: 0x1000, destination: .max, count: 2, command: 1),
    Outside(source: 0x1000, destination: 0x40001, count: .max, command: 1),
    Outside(source: 0x3ffff, destination: 0x1000, count: 1, command: 3),
    Outside(source: 0x40001, destination: 0x1000, count: 4096, command: 7),
    Outside(source: 0x1_0004_0000, destination: 0x1000, count: 1, command: 3),
  ]

  @Test(arguments: outside)
  func outsideTheBufferIsRefused(_ transfer: Outside) {
    fill(0x1000, [UInt8](repeating: 0x11, count: 4097))
    bench.start(
      source: transfer.source, destination: transfer.destination, count: transfer.count,
      command: transfer.command)
    #expect(bench.read(0x98) == 0)
    #expect(bench.port[\.reports].count == 1)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.port[\.transfers] == 0)
    #expect(bench.read(0x24) == 0)
    run(source: 0x40000, destination: 0x8000, count: 4096, command: 3)
    #expect(memory(0x8000..<0x9000) == [UInt8](repeating: 0, count: 4096))
  }

  @Test func theWholeBufferAndNothingAreInside() {
    run(source: 0, destination: 0x40000, count: 4096, command: 5)
    #expect(bench.read(0x24) == 0x100)
    bench.write(0x64, 0x100)
    run(source: 0, destination: 0x41000, count: 0, command: 5)
    #expect(bench.read(0x24) == 0x100)
    #expect(bench.port[\.reports].isEmpty)
  }

  // MARK: - Faults

  @Test func unmappedReadGivesZerosAndCompletes() {
    fill(0x1000, [1, 2, 3, 4])
    run(source: 0x1000, destination: 0x40000, count: 4, command: 1)
    run(source: 0x20000, destination: 0x40000, count: 2, command: 5)
    #expect(bench.read(0x98) == 4)
    #expect(bench.read(0x24) == 0x100)
    run(source: 0x40000, destination: 0x2000, count: 4, command: 3)
    #expect(memory(0x2000..<0x2004) == [0, 0, 3, 4])
  }

  @Test func halfMappedWriteKeepsItsMappedHalf() {
    fill(0x1000, [1, 2, 3, 4])
    run(source: 0x1000, destination: 0x40000, count: 4, command: 1)
    run(source: 0x40000, destination: 0xfffe, count: 4, command: 7)
    #expect(memory(0xfffe..<0x10000) == [1, 2])
    #expect(bench.read(0x24) == 0x100)
  }

  // MARK: - Bus mastering

  @Test(arguments: [1 as UInt64, 3])
  func withBusMasteringOffNothingMoves(command: UInt64) {
    fill(0x1000, [9])
    run(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    bench.port.set(\.isBusMaster, false)
    bench.edu.busMasterChanged(isEnabled: false)
    fill(0x1000, [7])
    if command == 1 {
      run(source: 0x1000, destination: 0x40000, count: 1, command: 5)
    } else {
      run(source: 0x40000, destination: 0x1000, count: 1, command: 7)
    }
    #expect(bench.read(0x98) & 1 == 0)
    #expect(memory(0x1000..<0x1001) == [7])
    bench.port.set(\.isBusMaster, true)
    run(source: 0x40000, destination: 0x2000, count: 1, command: 3)
    #expect(memory(0x2000..<0x2001) == [9])
  }

  @Test func nothingStaysPendingForLater() {
    fill(0x1000, [9])
    bench.port.set(\.isBusMaster, false)
    bench.start(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    bench.port.set(\.isBusMaster, true)
    bench.edu.busMasterChanged(isEnabled: true)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.port[\.transfers] == 0)
    #expect(bench.read(0x98) == 0)
  }

  @Test func busMasteringOffInBetweenStopsATransfer() {
    bench.start(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    bench.port.set(\.isBusMaster, false)
    bench.edu.busMasterChanged(isEnabled: false)
    bench.port.set(\.isBusMaster, true)
    bench.edu.busMasterChanged(isEnabled: true)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.port[\.transfers] == 0)
    // The next one is not stopped by it.
    run(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    #expect(bench.port[\.transfers] == 1)
  }

  // MARK: - Reset

  @Test func resetStopsATransfer() {
    bench.start(source: 0x1000, destination: 0x40000, count: 1, command: 5)
    bench.edu.reset()
    #expect(bench.read(0x98) == 0)
    bench.port.scheduler.advance(by: duration)
    #expect(bench.port[\.transfers] == 0)
    #expect(bench.read(0x24) == 0)
  }

  @Test func resetInTheMiddleOfATransferLeavesNothing() {
    fill(0x1000, [9])
    bench.port.set(\.onTransfer, { [edu = bench.edu] in edu.reset() })
    run(source: 0x1000, destination: 0x40000, count: 1, command: 5)
    bench.port.set(\.onTransfer, nil)
    #expect(bench.read(0x24) == 0)
    run(source: 0x40000, destination: 0x2000, count: 1, command: 3)
    #expect(memory(0x2000..<0x2001) == [0])
  }

  @Test func resetClearsTheBuffer() {
    fill(0x1000, [9])
    run(source: 0x1000, destination: 0x40000, count: 1, command: 1)
    bench.edu.reset()
    run(source: 0x40000, destination: 0x1000, count: 1, command: 3)
    #expect(memory(0x1000..<0x1001) == [0])
  }
}
