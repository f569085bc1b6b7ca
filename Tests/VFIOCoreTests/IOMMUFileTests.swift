import ClientAccess
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

struct IOMMUFileTests {
  let machine: Machine
  let client = MemoryClient()
  let group: Int32
  let iommu: Int32
  private let vaddr: UInt64 = 0x20_0000

  init() throws {
    machine = try Machine()
    group = try client.open(machine.vfio, 240)
    iommu = try client.getIOMMU(group)
    client.space.mmap(vaddr, pages: 16)
  }

  private func mapError(
    _ iova: UInt64, _ address: UInt64, _ size: UInt64,
    _ flags: Draft2011.DMAMap.Flags = [.read, .write]
  ) -> Errno? {
    errno { () throws(Errno) in
      try client.mapDMA(iommu, iova: iova, vaddr: address, size: size, flags: flags)
    }
  }

  @Test(arguments: [0, 0x3b64, 0x3b6c, 0x3b6a + 0x4000_0000, .max] as [UInt32])
  func unknownRequests(request: UInt32) {
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, request, 8) }
        == .inappropriateIOCTLForDevice)
  }

  @Test func noReadWrite() {
    #expect(errno { () throws(Errno) in try client.pread(iommu, 0, 0, 4) } == .invalidArgument)
    #expect(errno { () throws(Errno) in try client.pwrite(iommu, 0, 0, [1]) } == .invalidArgument)
  }

  @Test func info() throws {
    let info = try client.ioctl(iommu, .iommuGetInfo, Draft2011.IOMMUInfo.sized)
    #expect(info.flags == 0)
    #expect(info.iovaMin == 0)
    #expect(info.iovaMax == .max)
    #expect(info.pgsizeBitmap == 0xffff_ffff_ffff_f000)
    #expect(info.argsz == 32)
  }

  @Test func infoErrors() {
    var info = Draft2011.IOMMUInfo.sized
    info.flags = 1
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuGetInfo, info) }
        == .invalidArgument)
    info = .sized
    info.argsz = 31
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuGetInfo, info) }
        == .invalidArgument)
    info.argsz = 64
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuGetInfo, info) } == nil)
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuGetInfo, 0) } == .badAddress)
    // The structure may not hang over into nothing.
    #expect(
      errno { () throws(Errno) in
        try client.ioctl(iommu, .iommuGetInfo, MemoryClient.argument + 4096 - 31)
      } == .badAddress)
  }

  @Test func mapStructure() {
    var map = Draft2011.DMAMap.sized
    map.argsz = 31
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuMapDMA, map) }
        == .invalidArgument)
    map = .sized
    map.vaddr = vaddr
    map.size = 4096
    map.flags = .init(rawValue: 0b101)
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuMapDMA, map) }
        == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuMapDMA, 0) } == .badAddress)
    map.flags = .read
    map.argsz = 40
    #expect(errno { () throws(Errno) in try client.ioctl(iommu, .iommuMapDMA, map) } == nil)
  }

  @Test func mapRules() {
    #expect(mapError(0, vaddr, 4096, []) == .invalidArgument)
    #expect(mapError(1, vaddr, 4096) == .invalidArgument)
    #expect(mapError(0, vaddr + 1, 4096) == .invalidArgument)
    #expect(mapError(0, vaddr, 4097) == .invalidArgument)
    #expect(mapError(0, vaddr, 0) == .invalidArgument)
    #expect(mapError(0xffff_ffff_ffff_f000, vaddr, 8192) == .invalidArgument)
    #expect(mapError(0, 0xffff_ffff_ffff_f000, 8192) == .invalidArgument)
    #expect(mapError(0, vaddr, 4096 * 17) == .badAddress)
    client.space.mmap(vaddr, pages: 1, .read)
    #expect(mapError(0, vaddr, 4096) == .badAddress)
    #expect(client.space.locked == 0)
    #expect(mapError(0, vaddr, 4096, .read) == nil)
    #expect(mapError(0, vaddr, 4096, .read) == .resourceBusy)
  }

  @Test func mapOverTheLockedMemoryLimit() {
    client.setLockedMemoryLimit(8191)
    #expect(mapError(0, vaddr, 8192) == .noMemory)
    #expect(client.space.locked == 0)
    #expect(mapError(0, vaddr, 4096) == nil)
    #expect(mapError(4096, vaddr, 4096) == .noMemory)
    client.setLockedMemoryLimit(8192)
    #expect(mapError(4096, vaddr, 4096) == nil)
  }

  @Test func unmapRules() throws {
    func error(_ iova: UInt64, _ size: UInt64) -> Errno? {
      errno { () throws(Errno) in try client.unmapDMA(iommu, iova: iova, size: size) }
    }
    #expect(error(1, 4096) == .invalidArgument)
    #expect(error(0, 1) == .invalidArgument)
    #expect(error(0, 4096) == nil)
    try client.mapDMA(iommu, iova: 0x1000, vaddr: vaddr, size: 4 * 4096)
    #expect(error(0x2000, 4096) == nil)
    #expect(client.space.locked == 3 * 4096)
    #expect(mapError(0x2000, vaddr, 4096) == nil)
    #expect(mapError(0x1000, vaddr, 4096) == .resourceBusy)

    var unmap = Draft2011.DMAUnmap.sized
    unmap.iova = 0x1000
    unmap.size = 4096
    unmap.flags = 1
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuUnmapDMA, unmap) }
        == .invalidArgument)
    unmap.flags = 0
    unmap.argsz = 23
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuUnmapDMA, unmap) }
        == .invalidArgument)
    #expect(
      errno { () throws(Errno) in try client.ioctl(iommu, .iommuUnmapDMA, 0) } == .badAddress)
    #expect(client.space.locked == 4 * 4096)
  }

  /// The memory is the caller's, though the set is its parent's.
  @Test func aForkedChildMapsItsOwnMemory() throws {
    let child = MemoryClient()
    child.space.mmap(0x40_0000, pages: 1)
    let theirs = child.install(.file(try #require(try client.file(iommu))))
    try child.mapDMA(theirs, iova: 0, vaddr: 0x40_0000, size: 4096)
    #expect(child.space.locked == 4096)
    #expect(client.space.locked == 0)
    client.close(iommu)
    #expect(child.space.locked == 0)
  }

  @Test func theLastDescriptorTakesTheMappingsAway() throws {
    try client.mapDMA(iommu, iova: 0, vaddr: vaddr, size: 4096)
    let device = try client.getDevice(group, "0000:06:0d.0")
    client.close(iommu)
    #expect(client.space.locked == 4096)
    let again = try client.getIOMMU(group)
    #expect(
      errno { () throws(Errno) in
        try client.mapDMA(again, iova: 0, vaddr: vaddr, size: 4096)
      } == .resourceBusy)
    client.close(again)
    client.close(device)
    #expect(client.space.locked == 0)
    let fresh = try client.getIOMMU(group)
    try client.mapDMA(fresh, iova: 0, vaddr: vaddr, size: 4096)
  }

  @Test func devicesReachMemoryThroughIt() throws {
    try client.mapDMA(iommu, iova: 0x5000, vaddr: vaddr, size: 4096)
    client.space.poke(vaddr, [1, 2, 3, 4])
    let device = try client.getDevice(group, "0000:06:0d.1")
    try client.runDMA(machine, device, source: 0x5000, destination: 0x40000, command: 1)
    try client.runDMA(machine, device, source: 0x40000, destination: 0x5ffe, command: 3)
    #expect(client.space.peek(vaddr + 4094, count: 3) == [1, 2, 0])
    // Unmapped: reads give zeros.
    try client.unmapDMA(iommu, iova: 0x5000, size: 4096)
    try client.runDMA(machine, device, source: 0x5000, destination: 0x40000, command: 1)
    try client.mapDMA(iommu, iova: 0x5000, vaddr: vaddr, size: 4096)
    try client.runDMA(machine, device, source: 0x40000, destination: 0x5000, command: 3)
    #expect(client.space.peek(vaddr, count: 4) == [0, 0, 0, 0])
  }
}
