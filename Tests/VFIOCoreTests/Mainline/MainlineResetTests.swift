import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOCore

/// When vfio-pci of today's kernels resets a function by itself (`vfio_pci_core_enable`,
/// `vfio_pci_core_disable`, `vfio_pci_dev_set_try_reset`).
@Suite struct MainlineResetTests {
  let client = MemoryClient()

  private func double(
    _ machine: Machine, _ address: String, group: UInt32, reset: PCIFunctionDescription.Reset
  ) throws -> ModelDouble {
    let maker = ModelDouble.Maker()
    var description = PCIFunctionDescription.double
    description.reset = reset
    description.isExpress = reset == .flr
    try machine.add(address, group: group, kind: maker.kind(description))
    return try #require(maker.model)
  }

  private func resets(_ model: ModelDouble) -> Int {
    model.log.entries.count { $0 == "reset" }
  }

  @Test func atTheFirstOpenAndTheLastClose() throws {
    let machine = try Machine(populated: false)
    let model = try double(machine, "0000:01:00.0", group: 1, reset: .flr)
    let (_, group, first) = try client.open(machine.vfio, 1, "0000:01:00.0")
    #expect(resets(model) == 1)
    let second = try client.device(group, "0000:01:00.0")
    client.close(first)
    #expect(resets(model) == 1)
    client.close(second)
    #expect(resets(model) == 2)
  }

  @Test func notWithoutAWay() throws {
    let machine = try Machine(populated: false)
    let model = try double(machine, "0000:01:00.0", group: 1, reset: .none)
    client.close(try client.open(machine.vfio, 1, "0000:01:00.0").device)
    #expect(resets(model) == 0)
  }

  /// As QEMU's: registers survive whatever is not asked for.
  @Test func eduHeedsNone() throws {
    let machine = try Machine()
    let (_, group, device) = try client.open(machine.vfio, 241, "0000:07:00.0")
    try client.write(device, 0, 4, 0x1234_5678)
    client.close(device)
    let again = try client.device(group, "0000:07:00.0")
    #expect(try client.read(again, 0, 4) == ~UInt64(0x1234_5678) & 0xffff_ffff)
    _ = try client.call(again, .reset)
    #expect(try client.read(again, 0, 4) == 0)
  }

  /// By the draft's ABI, registers survive.
  @Test func notByTheDraft() throws {
    let machine = try Machine(populated: false)
    let model = try double(machine, "0000:01:00.0", group: 1, reset: .flr)
    let group = try client.open(machine.vfio, 1)
    client.close(try client.getDevice(group, "0000:01:00.0"))
    #expect(resets(model) == 0)
  }

  /// Bus 6 is behind it.
  private func machineWithABridge() throws -> Machine {
    let machine = try Machine(populated: false)
    try machine.bus.add(
      PCIBridge(
        address: try #require(PCIAddress("0000:00:1e.0")), secondary: 6, vendorID: 0x8086,
        deviceID: 0x244e))
    return machine
  }

  /// Functions that can be reset with their bus alone are, once none of them is open any more.
  @Test func theBusWithTheLastCloseOfItsFunctions() throws {
    let machine = try machineWithABridge()
    let one = try double(machine, "0000:06:01.0", group: 1, reset: .bus)
    let two = try double(machine, "0000:06:02.0", group: 1, reset: .none)
    let (_, group, first) = try client.open(machine.vfio, 1, "0000:06:01.0")
    let second = try client.device(group, "0000:06:02.0")
    client.close(first)
    #expect(resets(one) == 0)
    client.close(second)
    #expect(resets(one) == 1)
    #expect(resets(two) == 1)
    client.close(try client.device(group, "0000:06:01.0"))
    #expect(resets(one) == 2)
    #expect(resets(two) == 2)
  }

  /// What another driver has must not be reset.
  @Test func notTheBusOfAnotherDriver() throws {
    let machine = try machineWithABridge()
    let one = try double(machine, "0000:06:01.0", group: 1, reset: .bus)
    try machine.add("0000:06:02.0", group: 2, driver: .host("edu"))
    client.close(try client.open(machine.vfio, 1, "0000:06:01.0").device)
    #expect(resets(one) == 0)
  }
}
