import ClientAccess
import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Containers and groups of today's API: what may be done when, and how long things last.
@Suite struct ContainerTests {
  let client = MemoryClient()
  let name = "0000:07:00.0"

  @Test func noGroupNoIOMMU() throws {
    let machine = try Machine()
    let container = client.openContainer(machine.vfio)
    #expect(try client.call(container, .getAPIVersion) == 0)
    #expect(errno { () throws(Errno) in try client.setIOMMU(container) } == .invalidArgument)
    // Whatever is asked, and with whatever pointer.
    for request in [Mainline.ContainerRequest.iommuGetInfo.rawValue, 0x3b67, 0x1234] {
      let error = errno { () throws(Errno) in try client.ioctl(container, request, 8) }
      #expect(error == .invalidArgument)
    }
  }

  @Test func extensions() throws {
    let machine = try Machine()
    let container = client.openContainer(machine.vfio)
    func offered() -> [UInt64] {
      (0...12).filter { (try? client.call(container, .checkExtension, $0)) == 1 }
    }
    #expect(offered() == [1, 3, 6, 9])
    #expect(try client.call(container, .checkExtension, 0x1_0000_0001) == 0)
    let group = try client.openMainline(machine.vfio, 241)
    try client.setContainer(group, container)
    #expect(errno { () throws(Errno) in try client.setIOMMU(container, 99) } == .noDevice)
    #expect(errno { () throws(Errno) in try client.setIOMMU(container, 9) } == .invalidArgument)
    try client.setIOMMU(container)
    #expect(offered() == [1, 3, 6, 9, 10])
    #expect(errno { () throws(Errno) in try client.setIOMMU(container) } == .invalidArgument)
    let unknown = errno { () throws(Errno) in try client.ioctl(container, 0x1234 as UInt32) }
    #expect(unknown == .inappropriateIOCTLForDevice)
  }

  @Test func groupIsExclusive() throws {
    let machine = try Machine()
    let (container, group, device) = try client.open(machine.vfio, 241, name)
    func again() -> Errno? {
      errno { () throws(Errno) in _ = try client.openMainline(machine.vfio, 241) }
    }
    #expect(again() == .resourceBusy)
    client.close(group)
    // The device keeps it.
    #expect(again() == .resourceBusy)
    client.close(device)
    #expect(again() == nil)
    client.close(container)
  }

  @Test func oneABIAtATime() throws {
    let machine = try Machine()
    let draft = try client.open(machine.vfio, 241)
    func mainline() -> Errno? {
      errno { () throws(Errno) in
        let group = try client.openMainline(machine.vfio, 241)
        client.close(group)
      }
    }
    #expect(mainline() == .resourceBusy)
    let iommu = try client.getIOMMU(draft)
    client.close(draft)
    #expect(mainline() == .resourceBusy)
    client.close(iommu)
    #expect(mainline() == nil)
    let group = try client.openMainline(machine.vfio, 241)
    #expect(errno { () throws(Errno) in _ = try client.open(machine.vfio, 241) } == .resourceBusy)
    client.close(group)
    #expect(errno { () throws(Errno) in _ = try client.open(machine.vfio, 241) } == nil)
  }

  @Test func setAndUnset() throws {
    let machine = try Machine()
    let container = client.openContainer(machine.vfio)
    let other = client.openContainer(machine.vfio)
    let group = try client.openMainline(machine.vfio, 241)
    #expect(try client.status(group) == .viable)
    #expect(
      errno { () throws(Errno) in try client.call(group, .unsetContainer) } == .invalidArgument)
    #expect(errno { () throws(Errno) in try client.setContainer(group, 99) } == .badFileDescriptor)
    #expect(errno { () throws(Errno) in try client.setContainer(group, group) } == .invalidArgument)
    try client.setContainer(group, container)
    #expect(try client.status(group) == [.viable, .containerSet])
    #expect(errno { () throws(Errno) in try client.setContainer(group, other) } == .invalidArgument)
    // Before the "already set", whether there is one at all.
    #expect(errno { () throws(Errno) in try client.setContainer(group, 99) } == .badFileDescriptor)
    #expect(errno { () throws(Errno) in _ = try client.device(group, name) } == .invalidArgument)
    #expect(errno { () throws(Errno) in _ = try client.device(group, "nobody") } == .noDevice)
    try client.setIOMMU(container)
    let device = try client.device(group, name)
    #expect(errno { () throws(Errno) in try client.call(group, .unsetContainer) } == .resourceBusy)
    client.close(device)
    try client.call(group, .unsetContainer)
    #expect(try client.status(group) == .viable)
  }

  @Test func closingTheContainerUnsetsNothing() throws {
    let machine = try Machine()
    let (container, group, device) = try client.open(machine.vfio, 241, name)
    client.close(container)
    #expect(try client.status(group) == [.viable, .containerSet])
    let other = client.openContainer(machine.vfio)
    #expect(errno { () throws(Errno) in try client.setContainer(group, other) } == .invalidArgument)
    client.close(try client.device(group, name))
    client.close(device)
    try client.call(group, .unsetContainer)
    try client.setContainer(group, other)
  }

  @Test func lastGroupTakesTheIOMMUAlong() throws {
    let machine = try Machine()
    let (container, group, device) = try client.open(machine.vfio, 241, name)
    client.space.mmap(0x20_0000, pages: 1)
    try client.map(container, iova: 0, vaddr: 0x20_0000, size: 4096)
    client.close(group)
    // The device still has the group in the container.
    try client.map(container, iova: 0x1000, vaddr: 0x20_0000, size: 4096)
    client.close(device)
    #expect(
      errno { () throws(Errno) in
        try client.map(container, iova: 0x2000, vaddr: 0x20_0000, size: 4096)
      } == .invalidArgument)
    #expect(client.space.locked == 0)
    let again = try client.openMainline(machine.vfio, 241)
    try client.setContainer(again, container)
    try client.setIOMMU(container, 1)
    // Nothing is left of what was mapped.
    try client.map(container, iova: 0, vaddr: 0x20_0000, size: 4096)
  }

  @Test func groupsShareAContainer() throws {
    let machine = try Machine()
    let (container, group, _) = try client.open(machine.vfio, 241, name)
    client.space.mmap(0x20_0000, pages: 1)
    try client.map(container, iova: 0, vaddr: 0x20_0000, size: 4096)
    let second = try client.openMainline(machine.vfio, 242)
    try client.setContainer(second, container)
    // The IOMMU is there already.
    let device = try client.device(second, "0000:08:00.0")
    #expect(
      errno { () throws(Errno) in
        try client.map(
          container, iova: 0, vaddr: 0x20_0000, size: 4096)
      } == .fileExists)
    client.close(device)
    client.close(second)
    // One left; the other stays with the mappings.
    #expect(try client.unmap(container, iova: 0, size: 4096) == 4096)
    #expect(try client.status(group) == [.viable, .containerSet])
    let free = try client.openMainline(machine.vfio, 242)
    #expect(try client.status(free) == .viable)
  }

  @Test func hostDriversAndViability() throws {
    let machine = try Machine(populated: false)
    try machine.add("0000:06:0d.0", group: 1)
    try machine.add("0000:06:0d.1", group: 1, driver: .none)
    let address = try #require(PCIAddress("0000:06:0d.1"))
    let group = try client.openMainline(machine.vfio, 1)
    // A sibling without a driver does not matter; one that the host has does.
    #expect(try client.status(group) == .viable)
    try machine.bus.bind(address, to: .host("e1000e"))
    #expect(try client.status(group) == [])
    let container = client.openContainer(machine.vfio)
    #expect(
      errno { () throws(Errno) in try client.setContainer(group, container) } == .notPermitted)
    try machine.bus.unbind(address)
    try client.setContainer(group, container)
    // In a container the group is safe from the host.
    #expect(throws: BusError.self) { try machine.bus.bind(address, to: .host("e1000e")) }
    #expect(try client.status(group) == [.viable, .containerSet])
  }

  @Test func unbindWaitsForTheDeviceAndAsksForIt() throws {
    let machine = try Machine()
    let (_, group, device) = try client.open(machine.vfio, 241, name)
    let event = EventDouble()
    try client.setEventfds(device, .request, [client.install(.event(event))])
    let log = Log()
    let address = try #require(PCIAddress(name))
    try machine.bus.unbind(address) { log.add("unbound") }
    #expect(event.take() == 1)
    #expect(log.entries == [])
    // Until then it can be opened.
    client.close(try client.device(group, name))
    client.close(device)
    #expect(log.entries == ["unbound"])
    #expect(errno { () throws(Errno) in _ = try client.device(group, name) } == .noDevice)
    #expect(try client.status(group) == [.viable, .containerSet])
  }

  @Test func names() throws {
    let machine = try Machine()
    let (_, group, _) = try client.open(machine.vfio, 241, name)
    let outcomes: [(String, Errno?)] = [
      (name + " ", nil), (name + " foo=1", .invalidArgument), (name + "x", .noDevice),
      ("", .noDevice), ("07:00.0", .noDevice), ("0000:08:00.0", .noDevice),
      (name + " vf_token=14d63f20-8445-11ea-8900-1f9ce7d5650d", .invalidArgument),
    ]
    for (text, expected) in outcomes {
      let error = errno { () throws(Errno) in client.close(try client.device(group, text)) }
      #expect(error == expected, "\(text)")
    }
  }
}

extension Errno {
  static var noDevice: Errno { .operationNotSupportedByDevice }
}
