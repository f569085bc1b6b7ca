import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// testdev as a client uses it.
struct TestDeviceTests {
  private let b: PCIBench
  private let iommu: Int32
  private let vaddr: UInt64 = 0x7000_0000
  private let iova: UInt64 = 0x1_0000_0000

  init() throws {
    b = try PCIBench(TestDevice.model.kind(["memory": .number(1 << 18)]))
    iommu = try b.client.getIOMMU(b.group)
    b.client.space.mmap(vaddr, pages: 64)
    try b.client.mapDMA(iommu, iova: iova, vaddr: vaddr, size: 64 * 4096)
    try b.setConfig(4, 0x107, bytes: 2)
  }

  private func register(_ offset: UInt64) throws -> UInt64 {
    try b.client.read(b.device, 0, offset)
  }

  private func setRegister(_ offset: UInt64, _ value: UInt64, bytes: Int = 4) throws {
    try b.client.write(b.device, 0, offset, value, bytes: bytes)
  }

  private func start(
    _ command: UInt64, iova: UInt64, offset: UInt64 = 0, length: UInt64, pattern: UInt64 = 0
  ) throws {
    try setRegister(0x10, iova, bytes: 8)
    try setRegister(0x18, offset, bytes: 8)
    try setRegister(0x20, length)
    try setRegister(0x24, pattern)
    try setRegister(0x28, command)
  }

  private func run() { b.machine.scheduler.advance(by: .milliseconds(10)) }

  @Test func registersAndPorts() throws {
    #expect(try register(0) == 0x7e57_0001)
    try setRegister(4, 0x1122_3344)
    #expect(try b.client.pread(b.device, 1, 4, 4) == [0x44, 0x33, 0x22, 0x11])
    try b.client.pwrite(b.device, 1, 5, [0xaa])
    #expect(try register(4) == 0x1122_aa44)
    try setRegister(6, 0x5566, bytes: 2)
    #expect(try b.client.pread(b.device, 0, 3, 6) == [0x7e, 0x44, 0xaa, 0x66, 0x55, 0])
    #expect(try register(0x800) == 0)
    #expect(b.readError(1, 32) == .invalidArgument)
  }

  @Test func ramIsMemory() throws {
    let bytes = (0..<99).map { UInt8($0) }
    try b.client.pwrite(b.device, 2, 4001, bytes)
    #expect(try b.client.pread(b.device, 2, 4001, 99) == bytes)
    try b.client.ioctl(b.device, .deviceReset)
    #expect(try b.client.pread(b.device, 2, 4001, 99) == bytes)
  }

  @Test func movesBothWays() throws {
    let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    b.client.space.poke(vaddr + 5, bytes)
    try start(1, iova: iova + 5, offset: 77, length: 150_000)
    #expect(try register(0x2c) == 1)
    run()
    #expect(try register(0x2c) == 2)
    #expect(try b.client.pread(b.device, 2, 77, 150_000) == bytes)
    b.client.space.poke(vaddr, [UInt8](repeating: 0, count: 64 * 4096))
    try start(2, iova: iova + 1, offset: 77, length: 150_000)
    run()
    #expect(b.client.space.peek(vaddr + 1, count: 150_000) == bytes.map { $0 })
    try start(3, iova: iova, length: 70_001, pattern: 0x0403_0201)
    run()
    #expect(b.client.space.peek(vaddr + 65_536, count: 5) == [1, 2, 3, 4, 1])
    #expect(b.client.space.peek(vaddr + 70_000, count: 2) == [1, bytes[69_999 + 1]])
    #expect(try register(0x40) == 3)
  }

  @Test func faults() throws {
    try start(1, iova: iova + 63 * 4096, length: 8192)
    run()
    #expect(try register(0x2c) == 3)
    #expect(try b.client.read(b.device, 0, 0x30, bytes: 8) == iova + 64 * 4096)
    // Outside of the RAM nothing moves.
    for (offset, length) in [(1 << 18 - 3, 4), (1 << 18 + 1, 0), (.max, 4)] as [(UInt64, UInt64)] {
      try start(2, iova: iova, offset: offset, length: length)
      #expect(try register(0x2c) == 3)
    }
    try b.setConfig(4, 0x103, bytes: 2)
    try start(3, iova: iova, length: 4, pattern: .max)
    run()
    #expect(try register(0x2c) == 3)
    #expect(b.client.space.peek(vaddr) == 0)
  }

  @Test func aResetStopsATransfer() throws {
    try start(3, iova: iova, length: 16, pattern: .max)
    try b.client.ioctl(b.device, .deviceReset)
    run()
    #expect(b.client.space.peek(vaddr) == 0)
    #expect(try register(0x2c) == 0)
    try start(3, iova: iova, length: 1, pattern: .max)
    run()
    #expect(b.client.space.peek(vaddr, count: 2) == [0xff, 0])
  }

  @Test func busMasteringOffAndOnStopsATransfer() throws {
    try start(3, iova: iova, length: 16, pattern: .max)
    try b.setConfig(4, 0x103, bytes: 2)
    try b.setConfig(4, 0x107, bytes: 2)
    run()
    #expect(b.client.space.peek(vaddr) == 0)
    #expect(try register(0x2c) == 3)
  }

  @Test func endsWithAnInterrupt() throws {
    let (fd, event) = b.event()
    try b.client.setEventfds(b.device, 2, [-1, -1, -1, fd])
    try start(3 | 1 << 4 | 3 << 16, iova: iova, length: 4)
    #expect(event.take() == 0)
    run()
    #expect(event.take() == 1)
    try b.client.setEventfds(b.device, 2, [])
    try b.client.setEventfds(b.device, 0, [fd])
    try start(3 | 1 << 4, iova: iova, length: 4)
    run()
    #expect(event.take() == 1)
    #expect(try register(8) == 1)
    try setRegister(8, 0)
    #expect(try b.config(6, bytes: 2) & 8 == 0)
  }
}
