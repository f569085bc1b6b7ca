import DeviceKit
import SoftIOMMU
import Synchronization
import TestSupport
import Testing

struct FaultLogTests {
  @Test func aFaultIsAnEvent() throws {
    let log = Log()
    let f = Fixture()
    try f.map(0x1000)
    try f.map(0x8000, .read)
    let port = DomainPort(
      device: "0000:06:0d.0", faults: DMAFaultLog { event, _ in log.add("\(event)") })
    _ = port.write(IOVA(0), [1])
    port.attach(to: f.iommu)
    _ = port.write(IOVA(0x2ff0), [1, 2])
    _ = port.write(IOVA(0x8000), [1])
    _ = port.read(IOVA(0x7000), count: 64)
    _ = try? port.atomic(.swap, IOVA(0x1000), width: 8, operand: 0)
    #expect(
      log.entries == [
        "0000:06:0d.0: write of 1 bytes: no IOMMU domain is attached (IOVA 0x0); nothing is mapped at all",
        "0000:06:0d.0: write of 2 bytes: nothing is mapped at IOVA 0x2ff0; the nearest mapping is 0x1000-0x1fff",
        "0000:06:0d.0: write of 1 bytes: the mapping at IOVA 0x8000 does not allow it; the nearest mapping is 0x8000-0x8fff",
        "0000:06:0d.0: read of 64 bytes: nothing is mapped at IOVA 0x7000; the nearest mapping is 0x8000-0x8fff",
        "0000:06:0d.0: atomic of 8 bytes: there is no atomic access to the memory at IOVA 0x1000; the nearest mapping is 0x1000-0x1fff",
      ])
  }

  @Test func manyAreCountedAndFewTold() {
    let log = Log()
    let time = Time()
    let faults = DMAFaultLog(
      now: { time.value.load(ordering: .relaxed) }, tell: { _, untold in log.add("\(untold)") })
    let event = DMAFaultEvent(
      device: "d", fault: DMAFault(iova: IOVA(0), cause: .unmapped), direction: .read, count: 1,
      nearest: nil)
    for _ in 0..<100 { faults.note(event) }
    #expect(faults.count == 100)
    #expect(log.entries == [String](repeating: "0", count: DMAFaultLog.burst))
    time.value.store(2 * DMAFaultLog.interval, ordering: .relaxed)
    for _ in 0..<5 { faults.note(event) }
    #expect(log.entries.suffix(2) == ["90", "0"])
    #expect(log.entries.count == DMAFaultLog.burst + 2)
  }

  private final class Time: Sendable {
    let value = Atomic<UInt64>(0)
  }
}
