import DeviceKit
import Testing

@Suite struct PCIAddressTests {
  @Test(arguments: ["0000:06:0d.0", "ffff:ff:1f.7", "0a0b:00:00.1"])
  func roundTrip(_ text: String) {
    #expect(PCIAddress(text)?.description == text)
  }

  @Test func parts() throws {
    let address = try #require(PCIAddress("12aB:C6:0D.3"))
    #expect(address.domain == 0x12ab)
    #expect(address.bus == 0xc6)
    #expect(address.device == 0x0d)
    #expect(address.function == 3)
    #expect(address.busAddress == PCIBusAddress("12ab:c6"))
  }

  @Test(arguments: [
    "", "06:0d.0", "0000:06:0d", "0000:06:0d.8", "0000:06:20.0", "000:06:0d.0", "00000:06:0d.0",
    "0000:06:0d.00", "0000:06:0d.0 ", " 0000:06:0d.0", "0000.06:0d.0", "0000:06-0d.0",
    "0000:06:0d:0", "+000:06:0d.0", "0000:06:0g.0", "0000:06:0d.\u{ff10}", "0000:06:0d.0\n",
  ])
  func refused(_ text: String) {
    #expect(PCIAddress(text) == nil)
  }

  @Test(arguments: ["", "00", "0000:0", "0000:000", "0000:00:", "000g:00"])
  func refusedBus(_ text: String) {
    #expect(PCIBusAddress(text) == nil)
  }

  @Test func order() throws {
    let texts = ["0000:00:1f.7", "0000:01:00.0", "0000:01:00.1", "0000:01:01.0", "0001:00:00.0"]
    let addresses = texts.compactMap { PCIAddress($0) }
    #expect(addresses.count == texts.count)
    #expect(addresses.reversed().sorted() == addresses)
  }

  @Test func partsOutOfRange() {
    #expect(PCIAddress(bus: 0, device: 32, function: 0) == nil)
    #expect(PCIAddress(bus: 0, device: 0, function: 8) == nil)
    #expect(PCIAddress(bus: 0, device: 31, function: 7)?.description == "0000:00:1f.7")
  }
}
