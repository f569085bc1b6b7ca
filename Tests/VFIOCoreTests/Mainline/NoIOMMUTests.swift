import ClientAccess
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Groups without an IOMMU (`CONFIG_VFIO_NOIOMMU` of drivers/vfio, Linux 6.1).
@Suite struct NoIOMMUTests {
  let client = MemoryClient()
  let name = "0000:09:00.0"
  let machine: Machine

  init() throws {
    machine = try Machine()
    machine.vfio.allowsNoIOMMU = true
    try machine.add(name, group: 9, hasIOMMU: false)
  }

  private func error<T>(_ body: () throws(Errno) -> T) -> Errno? {
    errno { () throws(Errno) in _ = try body() }
  }

  @Test func names() throws {
    #expect(machine.status(9)?.mainlineName == "noiommu-9")
    #expect(machine.status(9)?.draftName == nil)
    #expect(machine.status(241)?.mainlineName == "241")
    // The document has no such groups.
    #expect(error { () throws(Errno) in try client.open(machine.vfio, 9) } == .noDevice)
  }

  @Test func aDeviceWithoutMappings() throws {
    let container = client.openContainer(machine.vfio)
    func offered() -> [UInt64] {
      (0...12).filter { (try? client.call(container, .checkExtension, $0)) == 1 }
    }
    #expect(offered() == [1, 3, 6, 8, 9])
    let group = try client.openMainline(machine.vfio, 9)
    #expect(try client.status(group) == .viable)
    try client.setContainer(group, container)
    #expect(offered() == [8])
    #expect(error { () throws(Errno) in try client.setIOMMU(container, 3) } == .noDevice)
    #expect(error { () throws(Errno) in try client.device(group, name) } == .invalidArgument)
    try client.setIOMMU(container, 8)
    #expect(offered() == [8])
    #expect(error { () throws(Errno) in try client.setIOMMU(container, 8) } == .invalidArgument)
    for request in [Mainline.ContainerRequest.iommuGetInfo, .iommuMapDMA, .iommuUnmapDMA] {
      let error = error { () throws(Errno) in try client.call(container, request) }
      #expect(error == .inappropriateIOCTLForDevice)
    }
    let device = try client.device(group, name)
    #expect(try client.status(group) == [.viable, .containerSet])
    client.close(device)
    try client.call(group, .unsetContainer)
    #expect(offered() == [1, 3, 6, 8, 9])
  }

  @Test func realGroupsAndTheseDoNotMix() throws {
    let first = client.openContainer(machine.vfio)
    let real = try client.openMainline(machine.vfio, 241)
    let fake = try client.openMainline(machine.vfio, 9)
    try client.setContainer(real, first)
    #expect(try client.call(first, .checkExtension, 8) == 0)
    #expect(error { () throws(Errno) in try client.setIOMMU(first, 8) } == .noDevice)
    #expect(error { () throws(Errno) in try client.setContainer(fake, first) } == .notPermitted)
    let second = client.openContainer(machine.vfio)
    try client.setContainer(fake, second)
    try client.call(real, .unsetContainer)
    #expect(error { () throws(Errno) in try client.setContainer(real, second) } == .notPermitted)
    try client.setContainer(real, first)
  }

  @Test func takesCAPSYSRAWIO() throws {
    let stranger = MemoryClient()
    stranger.dropRawIO()
    #expect(
      error { () throws(Errno) in try stranger.openMainline(machine.vfio, 9) } == .notPermitted)
    #expect(
      error { () throws(Errno) in try stranger.openMainline(machine.vfio, 9999) } == .noDevice)
    #expect(error { () throws(Errno) in try stranger.openMainline(machine.vfio, 241) } == nil)
    // Whoever opened it may have lost the right since, or have got the descriptor from somebody.
    let container = client.openContainer(machine.vfio)
    let group = try client.openMainline(machine.vfio, 9)
    let another = try client.openMainline(machine.vfio, 242)
    client.dropRawIO()
    #expect(
      error { () throws(Errno) in try client.setContainer(group, container) } == .notPermitted)
    try client.setContainer(another, container)
  }

  @Test func theDeviceAndTheIOMMUTakeItToo() throws {
    let container = client.openContainer(machine.vfio)
    let group = try client.openMainline(machine.vfio, 9)
    try client.setContainer(group, container)
    client.dropRawIO()
    #expect(error { () throws(Errno) in try client.setIOMMU(container, 8) } == .notPermitted)
    #expect(error { () throws(Errno) in try client.device(group, name) } == .invalidArgument)
  }

  @Test func theParameterDecidesWhatIsBound() throws {
    let group = try client.openMainline(machine.vfio, 9)
    machine.vfio.allowsNoIOMMU = false
    // What is bound stays, but can be given no IOMMU.
    let container = client.openContainer(machine.vfio)
    #expect(try client.call(container, .checkExtension, 8) == 0)
    try client.setContainer(group, container)
    #expect(error { () throws(Errno) in try client.setIOMMU(container, 8) } == .noDevice)
    #expect(throws: (any Error).self) {
      try machine.add("0000:0a:00.0", group: 10, hasIOMMU: false)
    }
    #expect(machine.status(10)?.mainlineName == nil)
    try machine.add("0000:0b:00.0", group: 11)
  }

  @Test func sharesItsGroupWithNobody() throws {
    #expect(throws: (any Error).self) { try machine.add("0000:09:01.0", group: 9) }
    #expect(throws: (any Error).self) {
      try machine.add("0000:09:02.0", group: 241, hasIOMMU: false)
    }
  }
}
