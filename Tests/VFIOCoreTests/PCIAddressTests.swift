import Testing
import VFIOCore

struct PCIAddressTests {
  @Test(arguments: ["0000:06:0d.0", "ffff:ff:1f.7", "0001:00:00.0", "abcd:0a:10.3"])
  func roundTrip(text: String) throws {
    #expect(try PCIAddress(text).description == text)
  }

  @Test func partsAndOrder() throws {
    let address = try PCIAddress("0001:06:0D.5")
    #expect(address.domain == 1)
    #expect(address.bus == 6)
    #expect(address.device == 13)
    #expect(address.function == 5)
    #expect(address.description == "0001:06:0d.5")
    #expect(try PCIAddress("0000:06:0d.0") < PCIAddress("0000:06:0d.1"))
    #expect(try PCIAddress("0000:ff:1f.7") < address)
  }

  @Test(arguments: [
    "", "06:0d.0", "0000:06:0d", "0000:06:0d.", "0000:06:0d.00", "0000-06:0d.0", "0000:06-0d.0",
    "0000:06:0d:0", "000g:06:0d.0", "0000:06:20.0", "0000:06:0d.8", " 0000:06:0d.0",
    "0000:+6:0d.0", "0000:06:0d.0 ", "00000:6:0d.0", "0000:06:0d.é",
  ])
  func noAddress(text: String) {
    #expect(throws: PCIAddress.ParseError.self) { try PCIAddress(text) }
  }

  @Test func errorsSayWhatIsWrong() {
    do {
      _ = try PCIAddress("0000:06:20.0")
      Issue.record("parsed")
    } catch {
      #expect(error.description == "“0000:06:20.0” is no PCI address: its device is above 1f")
    }
  }

  @Test func numbers() {
    #expect(PCIAddress(domain: 0, bus: 6, device: 13, function: 0)?.description == "0000:06:0d.0")
    #expect(PCIAddress(domain: 0, bus: 6, device: 32, function: 0) == nil)
    #expect(PCIAddress(domain: 0, bus: 6, device: 0, function: 8) == nil)
  }
}
