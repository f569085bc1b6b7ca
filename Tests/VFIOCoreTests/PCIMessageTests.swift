import DeviceKit
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// MSI and MSI-X with several vectors: whose eventfd is signalled, and what is pending.
struct PCIMessageTests {
  private let b: PCIBench
  private let message: UInt64 = 0x0c
  private let msi: UInt64 = 0x48
  private let msix: UInt64 = 0x60
  private let pending: UInt64 = 0x1000

  init() throws {
    b = try PCIBench(TestDevice.model.kind([:]))
    try b.setConfig(4, 0x107, bytes: 2)
  }

  private func error(_ index: UInt32, _ descriptors: [Int32]) -> Errno? {
    errno { () throws(Errno) in try b.client.setEventfds(b.device, index, descriptors) }
  }

  private func send(_ vector: UInt64) throws {
    try b.client.write(b.device, 0, message, vector)
  }

  @Test func counts() throws {
    for (index, count) in [(0, 1), (1, 4), (2, 16)] as [(UInt32, UInt32)] {
      var info = Draft2011.IRQInfo.sized
      info.index = index
      #expect(try b.client.ioctl(b.device, .deviceGetIRQInfo, info).count == count)
      #expect(
        error(index, Array(repeating: -1, count: Int(count) + 1)) == .invalidArgument)
      #expect(error(index, Array(repeating: -1, count: Int(count))) == nil)
      #expect(error(index, []) == nil)
    }
  }

  @Test(arguments: [0, 1, 2] as [UInt32], [0, 1, 2] as [UInt32])
  func exclusion(first: UInt32, second: UInt32) {
    let (fd, _) = b.event()
    #expect(error(first, [fd]) == nil)
    #expect(error(second, [fd]) == .invalidArgument)
    if first != second { #expect(error(second, []) == .invalidArgument) }
    #expect(error(first, []) == nil)
    #expect(error(second, [fd]) == nil)
  }

  @Test(arguments: [1, 2] as [UInt32])
  func vectors(index: UInt32) throws {
    let events = (0..<4).map { _ in b.event() }
    #expect(error(index, events.map(\.fd)) == nil)
    for vector in [2, 0, 2, 3] as [UInt64] { try send(vector) }
    #expect(events.map { $0.event.take() } == [1, 0, 2, 1])
    try b.setConfig(4, 0x103, bytes: 2)
    try send(1)
    try b.setConfig(4, 0x107, bytes: 2)
    #expect(events.map { $0.event.take() } == [0, 0, 0, 0])
  }

  @Test(arguments: [1, 2] as [UInt32])
  func theLastCloseDropsThem(index: UInt32) throws {
    let (fd, event) = b.event()
    #expect(error(index, [fd]) == nil)
    b.client.close(b.device)
    let again = try b.client.getDevice(b.group, b.name)
    try b.client.write(again, 7, 4, 0x107, bytes: 2)
    try b.client.write(again, 0, message, 0)
    #expect(event.take() == 0)
    #expect(try b.client.read(again, 7, msix + 2, bytes: 2) == 0xf)
    #expect(
      errno { () throws(Errno) in try b.client.setEventfds(again, 3 - index, [fd]) } == nil)
  }

  // MARK: - MSI

  @Test func maskedMessagesArePending() throws {
    let events = (0..<3).map { _ in b.event() }
    #expect(error(1, events.map(\.fd)) == nil)
    // The fourth vector is nobody's.
    #expect(try b.config(msi + 0x10) == 0b1000)
    try b.setConfig(msi + 0x10, 0b0110)
    for vector in [0, 1, 1, 2, 3] as [UInt64] { try send(vector) }
    #expect(events.map { $0.event.take() } == [1, 0, 0])
    #expect(try b.config(msi + 0x14) == 0b0110)
    try b.setConfig(msi + 0x10, 0b0100)
    #expect(events.map { $0.event.take() } == [0, 1, 0])
    #expect(try b.config(msi + 0x14) == 0b0100)
    try b.setConfig(msi + 0x10, 0)
    #expect(events.map { $0.event.take() } == [0, 0, 1])
    #expect(try b.config(msi + 0x14) == 0)
  }

  @Test func disablingUnmasks() throws {
    let (fd, event) = b.event()
    #expect(error(1, [fd]) == nil)
    try b.setConfig(msi + 0x10, 1)
    try send(0)
    #expect(error(1, []) == nil)
    #expect(try b.config(msi + 0x10) == 0)
    #expect(try b.config(msi + 0x14) == 0)
    #expect(event.take() == 0)
  }

  // MARK: - MSI-X

  @Test func controlShowsButCannotBeWritten() throws {
    #expect(try b.config(msix) == 0x000f_6c11)
    #expect(try b.config(msix + 4) == 0x0000_0004)
    #expect(try b.config(msix + 8) == 0x0000_1004)
    try b.setConfig(msix + 2, 0xc000, bytes: 2)
    #expect(try b.config(msix + 2, bytes: 2) == 0x000f)
    #expect(error(2, [b.event().fd]) == nil)
    #expect(try b.config(msix + 2, bytes: 2) == 0x800f)
    try b.setConfig(msix + 2, 0x4000, bytes: 2)
    #expect(try b.config(msix + 2, bytes: 2) == 0x800f)
    #expect(error(2, []) == nil)
    #expect(try b.config(msix + 2, bytes: 2) == 0x000f)
  }

  @Test func theTableIsHidden() throws {
    #expect(try b.client.pread(b.device, 4, 0, 4) == [0xff, 0xff, 0xff, 0xff])
    #expect(try b.client.pwrite(b.device, 4, 0, [1, 2, 3, 4]) == 4)
    // Across its end the model answers again.
    #expect(try b.client.pread(b.device, 4, 254, 4) == [0xff, 0xff, 0, 0])
    #expect(try b.client.pwrite(b.device, 4, 250, [0, 0, 0, 0, 0, 0, 0, 0]) == 8)
    #expect(try b.client.pread(b.device, 4, 252, 4) == [0xff, 0xff, 0xff, 0xff])
  }

  /// A vector without an eventfd is masked in the table.
  @Test func pendingBits() throws {
    let (fd, event) = b.event()
    #expect(error(2, [-1, fd]) == nil)
    for vector in [0, 1, 9, 15, 16] as [UInt64] { try send(vector) }
    #expect(event.take() == 1)
    #expect(try b.client.pread(b.device, 4, pending, 8) == [0x01, 0x82, 0, 0, 0, 0, 0, 0])
    #expect(try b.client.pread(b.device, 4, pending - 2, 4) == [0, 0, 1, 0x82])
    #expect(try b.client.pwrite(b.device, 4, pending, [0, 0, 0, 0]) == 4)
    #expect(try b.client.pread(b.device, 4, pending, 2) == [0x01, 0x82])
    #expect(error(2, []) == nil)
    #expect(try b.client.pread(b.device, 4, pending, 2) == [0, 0])
  }

  @Test func aResetForgetsWhatIsPendingButNotTheEventfds() throws {
    let (fd, event) = b.event()
    #expect(error(2, [fd, -1]) == nil)
    try send(1)
    try b.client.ioctl(b.device, .deviceReset)
    #expect(try b.client.pread(b.device, 4, pending, 1) == [0])
    try send(0)
    #expect(event.take() == 1)
  }
}
