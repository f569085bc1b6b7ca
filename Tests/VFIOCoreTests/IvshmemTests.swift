import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// Shared memory between devices of a machine, and their doorbells.
struct IvshmemTests {
  private let machine: Machine
  private let model = Ivshmem.model()

  init() throws {
    machine = try Machine(populated: false)
  }

  /// A device in a group and a client of its own.
  private func plug(
    _ slot: UInt8, _ parameters: DeviceParameters
  ) throws -> (client: MemoryClient, device: Int32) {
    let name = "0000:00:0\(slot).0"
    try machine.add(name, group: UInt32(slot), kind: model.kind(parameters))
    let client = MemoryClient()
    let device = try client.getDevice(client.open(machine.vfio, UInt32(slot)), name)
    try client.write(device, 7, 4, 0x107, bytes: 2)
    return (client, device)
  }

  @Test func plain() throws {
    let (client, device) = try plug(1, ["size": .number(8192)])
    #expect(try client.read(device, 7, 0) == 0x1110_1af4)
    #expect(try client.read(device, 7, 8) == 0x0500_0001)
    #expect(try client.read(device, 7, 0x34, bytes: 1) == 0)
    #expect(try client.read(device, 7, 0x3d, bytes: 1) == 0)
    for offset in stride(from: 0 as UInt64, to: 256, by: 4) {
      #expect(try client.read(device, 0, offset) == 0)
    }
    for (index, size) in [(0, 256), (1, 0), (2, 8192)] as [(UInt32, UInt64)] {
      var info = Draft2011.RegionInfo.sized
      info.index = index
      #expect(try client.ioctl(device, .deviceGetRegionInfo, info).size == size)
    }
  }

  @Test func whoSharesWhat() throws {
    let shared: DeviceParameters = ["shared": .text("x"), "size": .number(1 << 20)]
    let (a, deviceA) = try plug(1, shared)
    let (b, deviceB) = try plug(2, shared)
    let (c, deviceC) = try plug(3, ["shared": .text("y"), "size": .number(1 << 20)])
    let (d, deviceD) = try plug(4, ["size": .number(1 << 20)])
    try a.pwrite(deviceA, 2, 0xff_ffe, [1, 2])
    #expect(try b.pread(deviceB, 2, 0xff_ffe, 2) == [1, 2])
    #expect(try c.pread(deviceC, 2, 0xff_ffe, 2) == [0, 0])
    #expect(try d.pread(deviceD, 2, 0xff_ffe, 2) == [0, 0])
    let fileA = try a.file(deviceA)?.memory
    #expect(fileA === (try b.file(deviceB)?.memory))
    #expect(fileA !== (try c.file(deviceC)?.memory))
  }

  @Test func doorbells() throws {
    let doorbell: DeviceParameters = ["shared": .text("x"), "vectors": .number(3)]
    let (a, deviceA) = try plug(1, doorbell)
    let (b, deviceB) = try plug(2, doorbell)
    #expect(try a.read(deviceA, 0, 8) == 0)
    #expect(try b.read(deviceB, 0, 8) == 1)
    #expect(try b.read(deviceB, 7, 0x40) == 0x0002_0011)
    let events = [EventDouble(), EventDouble(), EventDouble()]
    try b.setEventfds(deviceB, 2, events.map { b.install(.event($0)) })
    for ring: UInt64 in [1 << 16, 1 << 16 | 2, 1 << 16 | 2, 1 << 16 | 3, 2 << 16, 0, .max] {
      try a.write(deviceA, 0, 0x0c, ring & 0xffff_ffff)
    }
    #expect(events.map { $0.take() } == [1, 0, 2])
    try b.write(deviceB, 0, 0x0c, 1 << 16 | 1)
    #expect(events.map { $0.take() } == [0, 1, 0])
    // Narrow writes ring nothing.
    try a.write(deviceA, 0, 0x0c, 0, bytes: 2)
    try a.write(deviceA, 0, 0x0e, 1, bytes: 2)
    #expect(events.map { $0.take() } == [0, 0, 0])
  }

  @Test func positionsAreReused() throws {
    let doorbell: DeviceParameters = ["shared": .text("x"), "vectors": .number(1)]
    try machine.add("0000:00:01.0", group: 1, driver: .none, kind: model.kind(doorbell))
    let (b, deviceB) = try plug(2, doorbell)
    #expect(try b.read(deviceB, 0, 8) == 1)
    try machine.bus.remove(try #require(PCIAddress("0000:00:01.0")))
    let (c, deviceC) = try plug(3, doorbell)
    #expect(try c.read(deviceC, 0, 8) == 0)
  }
}
