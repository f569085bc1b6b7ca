import DeviceKit
import Devices
import Logging
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// How a client of today's API is asked for a device back.
@Suite struct RequestTests {
  /// Every ten seconds for as long as somebody waits, whoever has given up before.
  @Test func eachWaitAsksForItself() throws {
    let scheduler = ManualScheduler()
    let vfio = VFIO(logger: .silent, drains: scheduler)
    let bus = PCIBus(vfio: vfio, scheduler: scheduler, logger: .silent)
    let address = try #require(PCIAddress("0000:07:00.0"))
    try bus.add(address: address, kind: Edu.kind, group: 241, driver: .vfio)
    let client = MemoryClient()
    let (_, _, device) = try client.open(vfio, 241, "0000:07:00.0")
    let event = EventDouble()
    try client.setEventfds(device, .request, [client.install(.event(event))])

    for _ in 0..<3 {
      let wait = try bus.unbind(address)
      #expect(event.take() == 1)
      #expect(wait.cancel())
    }
    try bus.unbind(address)
    #expect(event.take() == 1)
    for _ in 0..<3 {
      scheduler.advance(by: .seconds(10))
      #expect(event.take() == 1)
    }
    client.close(device)
    scheduler.advance(by: .seconds(10))
    #expect(scheduler.pending == 0)
  }
}
