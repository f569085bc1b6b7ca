import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

struct PCIBusTests {
  let machine: Machine
  let client = MemoryClient()

  init() throws {
    machine = try Machine(populated: false)
  }

  private func error(_ body: () throws(BusError) -> Void) -> Errno? {
    do throws(BusError) {
      try body()
      return nil
    } catch {
      #expect(!error.description.isEmpty)
      return error.errno
    }
  }

  private func address(_ function: UInt8) throws -> PCIAddress {
    try #require(PCIAddress(domain: 0, bus: 6, device: 13, function: function))
  }

  private func driver(_ address: PCIAddress) -> PCIBus.Driver? {
    machine.bus.functions.first { $0.address == address }?.driver
  }

  @Test func listsItsFunctions() throws {
    try machine.add("0000:06:0d.1", group: 240, driver: .host("edu"))
    try machine.add("0000:06:0d.0", group: 240)
    let functions = machine.bus.functions
    #expect(functions.map(\.address.description) == ["0000:06:0d.0", "0000:06:0d.1"])
    #expect(functions.map(\.driver) == [.vfio, .host("edu")])
    #expect(functions.map(\.kind) == ["edu", "edu"])
    #expect(functions.first?.group.description == "pci:240")
    #expect(functions.first?.description.vendorID == 0x1234)
    #expect(machine.status(240)?.isViable == false)
    #expect(machine.status(240)?.members.map(\.isBound) == [true, false])
  }

  @Test func addressesAreTakenOnce() throws {
    let address = try address(0)
    try machine.bus.add(address: address, kind: Edu.kind, group: 1, driver: .none)
    #expect(
      error { () throws(BusError) in
        try machine.bus.add(address: address, kind: Edu.kind, group: 2, driver: .vfio)
      } == .fileExists)
    #expect(machine.bus.functions.count == 1)
    #expect(machine.vfio.groups.count == 1)
  }

  static let flawed: [[Int: PCIFunctionDescription.BAR]] = [
    [6: .memory32(size: 4096)], [-1: .io(size: 4)], [0: .memory32(size: 0)],
    [0: .memory32(size: 24)], [0: .memory32(size: 8)], [0: .memory32(size: 1 << 32)],
    [5: .memory64(size: 4096)], [0: .memory64(size: 4096), 1: .io(size: 4)],
    [0: .memory64(size: 1 << 40)], [0: .io(size: 2)], [0: .io(size: 512)],
  ]

  @Test(arguments: flawed)
  func refusesDescriptionsThatMakeNoSense(bars: [Int: PCIFunctionDescription.BAR]) throws {
    let description = PCIFunctionDescription(
      vendorID: 1, deviceID: 2, classCode: 0, bars: bars)
    let address = try address(0)
    #expect(
      error { () throws(BusError) in
        try machine.bus.add(
          address: address, kind: ModelDouble.Maker().kind(description), group: 1, driver: .vfio)
      } == .invalidArgument)
    #expect(machine.bus.functions.isEmpty)
  }

  @Test func refusesOddVectorsAndClasses() throws {
    let address = try address(0)
    for description in [
      PCIFunctionDescription(vendorID: 1, deviceID: 2, classCode: 0, msi: .init(vectors: 3)),
      PCIFunctionDescription(vendorID: 1, deviceID: 2, classCode: 0, msi: .init(vectors: 0)),
      PCIFunctionDescription(vendorID: 1, deviceID: 2, classCode: 1 << 24),
    ] {
      #expect(
        error { () throws(BusError) in
          try machine.bus.add(
            address: address, kind: ModelDouble.Maker().kind(description), group: 1,
            driver: .none)
        } == .invalidArgument)
    }
  }

  @Test func rebinding() throws {
    let address = try address(0)
    try machine.bus.add(address: address, kind: Edu.kind, group: 240, driver: .host("edu"))
    #expect(
      error { () throws(BusError) in try machine.bus.bind(address, to: .vfio) }
        == .resourceBusy)
    try machine.bus.unbind(address)
    #expect(driver(address) == PCIBus.Driver.none)
    #expect(
      error { () throws(BusError) in try machine.bus.unbind(address) }
        == .operationNotSupportedByDevice)
    try machine.bus.bind(address, to: .vfio)
    #expect(machine.status(240)?.isViable == true)
    let log = Log()
    try machine.bus.unbind(address) { log.add("unbound") }
    #expect(log.entries == ["unbound"])
    #expect(machine.status(240)?.isViable == false)
    let nowhere = try self.address(7)
    #expect(
      error { () throws(BusError) in try machine.bus.bind(nowhere, to: .vfio) }
        == .operationNotSupportedByDevice)
  }

  @Test func unbindWaitsForTheUser() throws {
    let address = try address(0)
    try machine.bus.add(address: address, kind: Edu.kind, group: 240, driver: .vfio)
    let group = try client.open(machine.vfio, 240)
    let device = try client.getDevice(group, "0000:06:0d.0")
    let log = Log()
    try machine.bus.unbind(address) { log.add("unbound") }
    #expect(machine.bus.functions.first?.isUnbinding == true)
    #expect(
      error { () throws(BusError) in try machine.bus.unbind(address) } == .resourceBusy)
    #expect(try client.read(device, 0, 0) == 0x0100_00ed)
    client.close(device)
    #expect(log.entries == ["unbound"])
    #expect(driver(address) == PCIBus.Driver.none)
    #expect(machine.bus.functions.first?.isUnbinding == false)
  }

  @Test func removal() throws {
    let first = try address(0)
    let second = try address(1)
    try machine.bus.add(address: first, kind: Edu.kind, group: 240, driver: .vfio)
    try machine.bus.add(address: second, kind: Edu.kind, group: 240, driver: .host("x"))
    let log = Log()
    try machine.bus.remove(second) { log.add("second") }
    #expect(machine.status(240)?.isViable == true)
    let group = try client.open(machine.vfio, 240)
    let iommu = try client.getIOMMU(group)
    try machine.bus.remove(first) { log.add("first") }
    #expect(
      error { () throws(BusError) in try machine.bus.remove(first) } == .resourceBusy)
    #expect(machine.bus.functions.count == 1)
    client.close(iommu)
    #expect(log.entries == ["second", "first"])
    #expect(machine.bus.functions.isEmpty)
    #expect(machine.vfio.groups.count == 1)
    client.close(group)
    #expect(machine.vfio.groups.isEmpty)
    #expect(
      error { () throws(BusError) in try machine.bus.remove(first) }
        == .operationNotSupportedByDevice)
  }

  /// Whatever driver was to have it: the group is in use, and must stay whole.
  @Test(arguments: [PCIBus.Driver.vfio, .host("edu"), .none])
  func aFunctionPluggedIntoAUsedGroupIsClaimed(driver: PCIBus.Driver) throws {
    try machine.bus.add(address: address(0), kind: Edu.kind, group: 240, driver: .vfio)
    let group = try client.open(machine.vfio, 240)
    let iommu = try client.getIOMMU(group)
    client.space.mmap(0x20_0000, pages: 1)
    client.space.poke(0x20_0000, [0x42])
    try client.mapDMA(iommu, iova: 0, vaddr: 0x20_0000, size: 4096)
    let added = try address(1)
    try machine.bus.add(address: added, kind: Edu.kind, group: 240, driver: driver)
    #expect(self.driver(added) == .vfio)
    #expect(try client.groupFlags(group) == [.viable, .mmLocked])
    let device = try client.getDevice(group, "0000:06:0d.1")
    try client.runDMA(machine, device, source: 0, destination: 0x40000, command: 1)
    try client.runDMA(machine, device, source: 0x40000, destination: 8, command: 3)
    #expect(client.space.peek(0x20_0008) == 0x42)
  }

  /// The program of the document, as far as it goes without the compiler's help.
  @Test func theDocumentsExample() throws {
    let machine = try Machine()
    let group = try client.open(machine.vfio, 240)
    #expect(try client.groupFlags(group) == .viable)
    let iommu = try client.getIOMMU(group)
    try client.ioctl(iommu, .iommuGetInfo, Draft2011.IOMMUInfo.sized)
    client.space.mmap(0x7000_0000, pages: 256)
    try client.mapDMA(iommu, iova: 0, vaddr: 0x7000_0000, size: 1 << 20)
    let device = try client.getDevice(group, "0000:06:0d.0")
    let info = try client.ioctl(device, .deviceGetInfo, Draft2011.DeviceInfo.sized)
    for index in 0..<info.numRegions {
      var region = Draft2011.RegionInfo.sized
      region.index = index
      try client.ioctl(device, .deviceGetRegionInfo, region)
    }
    for index in 0..<info.numIRQs {
      var irq = Draft2011.IRQInfo.sized
      irq.index = index
      try client.ioctl(device, .deviceGetIRQInfo, irq)
    }
    try client.ioctl(device, .deviceReset)
    for descriptor in [device, iommu, group] { client.close(descriptor) }
    #expect(client.space.locked == 0)
    #expect(machine.status(240)?.isOwned == false)
  }
}
