import DeviceKit
import Logging
import SystemPackage
import TestSupport
import Testing
import VFIOABI

@testable import VFIOCore

/// Interrupt routing beyond what the draft ABI asks for: today's changes single vectors, masks and loops back.
struct PCIPinsTests {
  private let pins = PCIPins(
    PCIFunctionDescription(
      vendorID: 1, deviceID: 2, classCode: 0, bars: [0: .memory32(size: 8192)], interruptPin: .a,
      msi: .init(vectors: 4, perVectorMasking: true),
      msix: .init(
        vectors: 100, table: .init(bar: 0, offset: 0), pending: .init(bar: 0, offset: 4096))),
    addresses: [:], memory: nil,
    scheduler: ManualScheduler(),
    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  private let events = (0..<3).map { _ in EventDouble() }

  init() {
    pins.update { _ = $0.config.command.insert(.busMaster) }
  }

  private func taken() -> [UInt64] { events.map { UInt64($0.take()) } }

  private func error(_ body: () throws(Errno) -> Void) -> Errno? {
    errno { () throws(Errno) in try body() }
  }

  @Test(arguments: [PCIInterrupt.msi, .msix])
  func aPendingMessageGoesToTheNextEventfd(interrupt: PCIInterrupt) throws {
    try pins.enable(interrupt, [nil, events[1]])
    #expect(pins.enabledInterrupt?.vectors == 2)
    #expect(pins.sendMSI(vector: 0))
    #expect(pins.sendMSI(vector: 0))
    #expect(taken() == [0, 0, 0])
    try pins.setSignal(interrupt, vector: 0, events[0])
    #expect(taken() == [1, 0, 0])
    try pins.setSignal(interrupt, vector: 1, nil)
    #expect(pins.sendMSI(vector: 1))
    try pins.setSignal(interrupt, vector: 1, events[2])
    #expect(taken() == [0, 0, 1])
    #expect(
      error { () throws(Errno) in
        try pins.setSignal(interrupt, vector: 2, events[2])
      } == .invalidArgument)
    try pins.disable(interrupt)
    #expect(pins.enabledInterrupt == nil)
  }

  @Test func onlyTheEnabledInterruptChanges() throws {
    try pins.enable(.msi, [events[0]])
    for other in [PCIInterrupt.intx, .msix] {
      #expect(
        error { () throws(Errno) in try pins.setSignal(other, vector: 0, nil) } == .invalidArgument)
      #expect(error { () throws(Errno) in try pins.loopback(other, vector: 0) } == .invalidArgument)
      #expect(error { () throws(Errno) in try pins.disable(other) } == .invalidArgument)
      #expect(error { () throws(Errno) in try pins.enable(other, []) } == .invalidArgument)
    }
    #expect(error { () throws(Errno) in try pins.maskINTx() } == .invalidArgument)
    #expect(pins.hasUnmaskSignal == nil)
  }

  @Test func loopbackIgnoresMasks() throws {
    try pins.enable(.intx, [events[0]])
    try pins.maskINTx()
    try pins.loopback(.intx, vector: 0)
    try pins.loopback(.intx, vector: 0)
    #expect(taken() == [2, 0, 0])
    #expect(error { () throws(Errno) in try pins.loopback(.intx, vector: 1) } == .invalidArgument)
    pins.setINTx(asserted: true)
    #expect(taken() == [0, 0, 0])
    try pins.unmaskINTx()
    #expect(taken() == [1, 0, 0])
    try pins.disable(.intx)
    try pins.enable(.msix, [nil, events[1]])
    try pins.loopback(.msix, vector: 0)
    try pins.loopback(.msix, vector: 1)
    #expect(taken() == [0, 1, 0])
  }

  @Test func anotherEventfdForINTx() throws {
    try pins.enable(.intx, [nil])
    pins.setINTx(asserted: true)
    try pins.setSignal(.intx, vector: 0, events[0])
    #expect(taken() == [0, 0, 0])
    try pins.unmaskINTx()
    #expect(taken() == [1, 0, 0])
    try pins.setUnmaskSignal(events[1])
    #expect(pins.hasUnmaskSignal == true)
    #expect(error { () throws(Errno) in try pins.setUnmaskSignal(events[2]) } == .resourceBusy)
  }

  /// While the driver keeps INTx disabled, unmasking does nothing; enabling it unmasks.
  @Test func disableBit() throws {
    try pins.enable(.intx, [events[0]])
    pins.update { _ = $0.config.command.insert(.intxDisable) }
    pins.setINTx(asserted: true)
    try pins.unmaskINTx()
    #expect(taken() == [0, 0, 0])
    pins.update { _ = $0.config.command.remove(.intxDisable) }
    #expect(taken() == [1, 0, 0])
  }

  @Test func pendingBitsOfManyVectors() {
    var bits = PCIPendingBits(count: 100)
    #expect(bits.isEmpty)
    let inserted = [0, 63, 64, 99, -1, 100, 127, 128].map { bits.insert($0) }
    #expect(inserted == [true, true, true, true, false, false, false, false])
    #expect((0..<16).map(bits.byte) == [1, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 8, 0, 0, 0])
    let removed = [64, 64, 100].map { bits.remove($0) }
    #expect(removed == [true, false, false])
    bits.removeAll()
    #expect(bits.isEmpty)
  }
}
