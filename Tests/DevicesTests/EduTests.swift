import DeviceKit
import Devices
import Testing

/// An edu on the bench.
struct EduBench {
  let port = PortDouble()
  let edu: Edu

  init() {
    edu = Edu(port: port)
  }

  func read(_ offset: UInt64, _ width: AccessWidth = .dword) -> UInt64 {
    edu.read(bar: 0, offset: offset, width: width)
  }

  func write(_ offset: UInt64, _ value: UInt64, _ width: AccessWidth = .dword) {
    edu.write(bar: 0, offset: offset, width: width, value: value)
  }

  /// Sets a transfer up and starts it.
  func start(source: UInt64, destination: UInt64, count: UInt64, command: UInt64) {
    write(0x80, source, .qword)
    write(0x88, destination, .qword)
    write(0x90, count, .qword)
    write(0x98, command)
  }
}

struct EduTests {
  let bench = EduBench()

  @Test func description() {
    let description = Edu.kind.description
    #expect(Edu.kind.name == "edu")
    #expect(description.vendorID == 0x1234)
    #expect(description.deviceID == 0x11e8)
    #expect(description.revision == 0x10)
    #expect(description.classCode == 0x00ff00)
    #expect(description.bars == [0: .memory32(size: 1 << 20)])
    #expect(description.interruptPin == .a)
    #expect(description.msi == .init(vectors: 1, is64Bit: true))
    #expect(description.reset == .flr)
  }

  @Test func catalogue() {
    let catalogue = DeviceCatalogue()
    #expect(catalogue.models.map(\.name) == ["edu", "ivshmem", "testdev", "virtio-net"])
    #expect(catalogue.model(named: "edu")?.kind([:]).name == "edu")
    #expect(catalogue.model(named: "edu2") == nil)
  }

  @Test func identification() {
    #expect(bench.read(0) == 0x0100_00ed)
    bench.write(0, 5)
    #expect(bench.read(0) == 0x0100_00ed)
  }

  @Test func liveness() {
    bench.write(4, 0x1234_5678)
    #expect(bench.read(4) == 0xedcb_a987)
  }

  @Test(arguments: [0x0c as UInt64, 0x10, 0x28, 0x84, 0xa0, 0x40000, 0xffffc])
  func unusedOffsetsReadOnes(offset: UInt64) {
    bench.write(offset, 0)
    #expect(bench.read(offset) == 0xffff_ffff)
  }

  @Test(arguments: [0x60 as UInt64, 0x64])
  func writeOnlyRegistersReadOnes(offset: UInt64) {
    #expect(bench.read(offset) == 0xffff_ffff)
  }

  // MARK: - Widths

  @Test(arguments: [AccessWidth.byte, .word], [0 as UInt64, 4, 0x80, 0x98])
  func narrowReadsGiveZero(width: AccessWidth, offset: UInt64) {
    bench.write(4, 0)
    bench.write(0x80, 0xffff_ffff)
    #expect(bench.read(offset, width) == 0)
  }

  @Test(arguments: [AccessWidth.byte, .word])
  func narrowWritesAreIgnored(width: AccessWidth) {
    bench.write(4, 0, width)
    #expect(bench.read(4) == 0)
    bench.write(0x80, 0x55, width)
    #expect(bench.read(0x80) == 0)
    bench.write(0x60, 1, width)
    #expect(bench.read(0x24) == 0)
  }

  @Test func wideAccessBelow0x80IsNone() {
    bench.write(0, 1, .qword)
    bench.write(0x60, 1, .qword)
    #expect(bench.read(0x24) == 0)
    #expect(bench.read(0, .qword) == .max)
  }

  @Test(arguments: [0x80 as UInt64, 0x88, 0x90])
  func wideAccessFrom0x80(offset: UInt64) {
    bench.write(offset, 0x1_2345_6789, .qword)
    #expect(bench.read(offset, .qword) == 0x1_2345_6789)
    #expect(bench.read(offset) == 0x2345_6789)
    bench.write(offset, 7)
    #expect(bench.read(offset, .qword) == 7)
  }

  // MARK: - Factorial

  @Test(arguments: [
    (0 as UInt64, 1 as UInt64), (1, 1), (5, 120), (12, 479_001_600), (13, 1_932_053_504),
    (33, 0x8000_0000), (34, 0), (35, 0), (0xffff_ffff, 0),
  ])
  func factorial(n: UInt64, result: UInt64) {
    bench.write(8, n)
    #expect(bench.read(0x20) == 1)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(0x20) == 0)
    #expect(bench.read(8) == result)
  }

  @Test func writesAreIgnoredWhileComputing() {
    bench.write(8, 5)
    bench.write(8, 6)
    #expect(bench.read(8) == 5)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(8) == 120)
    #expect(bench.port.scheduler.pending == 0)
  }

  @Test func statusKeepsBit7Only() {
    bench.write(0x20, 0xffff_ffff)
    #expect(bench.read(0x20) == 0x80)
    bench.write(0x20, 1)
    #expect(bench.read(0x20) == 0)
  }

  @Test func interruptWhenComputed() {
    bench.write(0x20, 0x80)
    bench.write(8, 3)
    #expect(bench.read(0x20) == 0x81)
    #expect(bench.read(0x24) == 0)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(0x24) == 1)
    #expect(bench.port[\.isINTxAsserted])
  }

  @Test func noInterruptUnasked() {
    bench.write(8, 3)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(0x24) == 0)
    #expect(!bench.port[\.isINTxAsserted])
  }

  // MARK: - Interrupts

  @Test func raiseAndAcknowledge() {
    bench.write(0x60, 0x5)
    #expect(bench.read(0x24) == 5)
    #expect(bench.port[\.isINTxAsserted])
    bench.write(0x60, 0x8)
    #expect(bench.read(0x24) == 0xd)
    bench.write(0x64, 0x5)
    #expect(bench.read(0x24) == 8)
    #expect(bench.port[\.isINTxAsserted])
    bench.write(0x64, 0x18)
    #expect(bench.read(0x24) == 0)
    #expect(!bench.port[\.isINTxAsserted])
  }

  @Test func raisingNothingIsNothing() {
    bench.write(0x60, 0)
    #expect(!bench.port[\.isINTxAsserted])
  }

  @Test func interruptStatusIsReadOnly() {
    bench.write(0x24, 0xff)
    #expect(bench.read(0x24) == 0)
  }

  @Test func raiseSendsAMessageWithMSI() {
    bench.port.set(\.isMSIEnabled, true)
    bench.write(0x60, 1)
    bench.write(0x60, 2)
    #expect(bench.port[\.messages] == [0, 0])
    #expect(bench.read(0x24) == 3)
  }

  // MARK: - Reset

  @Test func resetClearsRegistersAndLowersINTx() {
    bench.write(4, 1)
    bench.write(8, 5)
    bench.port.scheduler.advance(by: .zero)
    bench.write(0x20, 0x80)
    bench.write(0x60, 1)
    for offset in [0x80 as UInt64, 0x88, 0x90] { bench.write(offset, 9) }
    bench.edu.reset()
    for offset in [4 as UInt64, 8, 0x20, 0x24, 0x80, 0x88, 0x90, 0x98] {
      #expect(bench.read(offset) == 0)
    }
    #expect(!bench.port[\.isINTxAsserted])
  }

  @Test func resetDropsAFactorialUnderWay() {
    bench.write(0x20, 0x80)
    bench.write(8, 5)
    bench.edu.reset()
    #expect(bench.read(0x20) == 0)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(8) == 0)
    #expect(bench.read(0x24) == 0)
    // The next one is not held up by it.
    bench.write(8, 4)
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.read(8) == 24)
  }
}
