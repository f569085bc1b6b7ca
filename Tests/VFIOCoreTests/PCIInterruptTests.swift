import DeviceKit
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

struct PCIInterruptTests {
  let b: PCIBench
  private let raise: UInt64 = 0x60
  private let acknowledge: UInt64 = 0x64

  init() throws {
    b = try PCIBench()
    try b.setConfig(4, 0x107, bytes: 2)
  }

  private func error(_ index: UInt32, _ descriptors: [Int32]) -> Errno? {
    errno { () throws(Errno) in try b.client.setEventfds(b.device, index, descriptors) }
  }

  private func unmaskEventfdError(_ index: UInt32, _ descriptors: [Int32]) -> Errno? {
    errno { () throws(Errno) in
      try b.client.setEventfds(b.device, index, descriptors, .deviceSetUnmaskIRQEventfds)
    }
  }

  private func unmaskError(_ index: UInt32 = 0, _ subindex: UInt32 = 0) -> Errno? {
    errno { () throws(Errno) in
      var unmask = Draft2011.UnmaskIRQ.sized
      unmask.index = index
      unmask.subindex = subindex
      return try b.client.ioctl(b.device, .deviceUnmaskIRQ, unmask)
    }
  }

  private func write(_ offset: UInt64, _ value: UInt64) throws {
    try b.client.write(b.device, 0, offset, value)
  }

  // MARK: - Setting

  @Test func arguments() throws {
    let (fd, _) = b.event()
    #expect(error(3, []) == .invalidArgument)
    #expect(error(.max, []) == .invalidArgument)
    #expect(error(0, [fd, fd]) == .invalidArgument)
    #expect(error(1, [fd, fd]) == .invalidArgument)
    #expect(error(2, [fd]) == .invalidArgument)
    #expect(error(2, []) == .invalidArgument)
    var header = Draft2011.IRQEventfds.sized
    header.count = 1
    for argsz: UInt32 in [16, 19] {
      header.argsz = argsz
      #expect(
        errno { () throws(Errno) in
          try b.client.ioctl(b.device, .deviceSetIRQEventfds, header)
        } == .invalidArgument)
    }
    header.count = .max
    header.argsz = .max
    #expect(
      errno { () throws(Errno) in try b.client.ioctl(b.device, .deviceSetIRQEventfds, header) }
        == .invalidArgument)
    header.count = 1
    header.argsz = 20
    header.flags = 1
    #expect(
      errno { () throws(Errno) in try b.client.ioctl(b.device, .deviceSetIRQEventfds, header) }
        == .invalidArgument)
    // Nothing of it set anything.
    #expect(error(0, []) == .invalidArgument)
    #expect(error(1, []) == .invalidArgument)
  }

  @Test func descriptorsThatCannotBeRead() throws {
    var header = Draft2011.IRQEventfds.sized
    header.count = 1
    header.argsz = 20
    let address = MemoryClient.argument + 4096 - 16
    try b.client.store(header, to: .init(address))
    #expect(
      errno { () throws(Errno) in
        try b.client.ioctl(b.device, .deviceSetIRQEventfds, address)
      } == .badAddress)
  }

  @Test(arguments: [0, 1] as [UInt32])
  func badDescriptors(index: UInt32) {
    #expect(error(index, [99]) == .badFileDescriptor)
    #expect(error(index, [-2]) == .badFileDescriptor)
    #expect(error(index, [b.client.install(.other)]) == .invalidArgument)
    #expect(error(index, [b.group]) == .invalidArgument)
    // Not set by any of it.
    #expect(error(index, []) == .invalidArgument)
    #expect(error(index, [b.event().fd]) == nil)
  }

  @Test(arguments: [0, 1] as [UInt32])
  func setOnceUntilCleared(index: UInt32) {
    let (fd, _) = b.event()
    #expect(error(index, []) == .invalidArgument)
    #expect(error(index, [fd]) == nil)
    #expect(error(index, [fd]) == .invalidArgument)
    // INTx and MSI exclude each other; a bad descriptor changes nothing of that.
    #expect(error(1 - index, [fd]) == .invalidArgument)
    #expect(error(1 - index, [99]) == .invalidArgument)
    #expect(error(1 - index, []) == .invalidArgument)
    #expect(error(index, []) == nil)
    #expect(error(index, []) == .invalidArgument)
    #expect(error(1 - index, [fd]) == nil)
  }

  @Test(arguments: [0, 1] as [UInt32])
  func skippedVectorIsSetToo(index: UInt32) throws {
    #expect(error(index, [-1]) == nil)
    #expect(error(index, [b.event().fd]) == .invalidArgument)
    try write(raise, 1)
    #expect(error(index, []) == nil)
  }

  @Test func aFunctionWithoutInterrupts() throws {
    let maker = ModelDouble.Maker()
    let bare = try PCIBench(
      maker.kind(PCIFunctionDescription(vendorID: 1, deviceID: 2, classCode: 0)))
    for index: UInt32 in [0, 1, 2] {
      #expect(
        errno { () throws(Errno) in
          try bare.client.setEventfds(bare.device, index, [bare.event().fd])
        } == .invalidArgument)
    }
  }

  // MARK: - INTx

  @Test func firesOnceUntilUnmasked() throws {
    let (fd, event) = b.event()
    #expect(error(0, [fd]) == nil)
    #expect(event.take() == 0)
    try write(raise, 1)
    #expect(event.take() == 1)
    try write(raise, 2)
    #expect(event.take() == 0)
    try write(acknowledge, 3)
    try write(raise, 1)
    #expect(event.take() == 0)
    // Still asserted at unmask: at once, and masked again.
    #expect(unmaskError() == nil)
    #expect(event.take() == 1)
    #expect(unmaskError() == nil)
    #expect(event.take() == 1)
    try write(acknowledge, 1)
    #expect(unmaskError() == nil)
    #expect(event.take() == 0)
    try write(raise, 1)
    #expect(event.take() == 1)
  }

  @Test func firesForALineThatIsUpAlready() throws {
    let (fd, event) = b.event()
    try write(raise, 1)
    #expect(error(0, [fd]) == nil)
    #expect(event.take() == 1)
  }

  @Test func clearedItIsSilentAndSetAnewUnmasked() throws {
    let (fd, event) = b.event()
    #expect(error(0, [fd]) == nil)
    try write(raise, 1)
    #expect(event.take() == 1)
    #expect(error(0, []) == nil)
    try write(acknowledge, 1)
    try write(raise, 1)
    #expect(event.take() == 0)
    #expect(error(0, [fd]) == nil)
    #expect(event.take() == 1)
  }

  @Test func unmaskArguments() {
    #expect(unmaskError() == .invalidArgument)
    #expect(error(0, [b.event().fd]) == nil)
    #expect(unmaskError() == nil)
    #expect(unmaskError(1) == .invalidArgument)
    #expect(unmaskError(2) == .invalidArgument)
    #expect(unmaskError(3) == .invalidArgument)
    #expect(unmaskError(0, 1) == .invalidArgument)
  }

  @Test func statusAndDisableBits() throws {
    let (fd, event) = b.event()
    #expect(error(0, [fd]) == nil)
    #expect(try b.config(6, bytes: 2) == 0x10)
    try b.setConfig(4, 0x507, bytes: 2)
    try write(raise, 1)
    #expect(try b.config(6, bytes: 2) == 0x18)
    #expect(event.take() == 0)
    try b.setConfig(4, 0x107, bytes: 2)
    #expect(event.take() == 1)
    try write(acknowledge, 1)
    #expect(try b.config(6, bytes: 2) == 0x10)
  }

  @Test func worksWithBusMasteringOff() throws {
    let (fd, event) = b.event()
    try b.setConfig(4, 0x103, bytes: 2)
    #expect(error(0, [fd]) == nil)
    try write(raise, 1)
    #expect(event.take() == 1)
  }

  @Test func resetLowersTheLine() throws {
    let (fd, event) = b.event()
    #expect(error(0, [fd]) == nil)
    try write(raise, 1)
    #expect(event.take() == 1)
    try b.client.ioctl(b.device, .deviceReset)
    #expect(unmaskError() == nil)
    #expect(event.take() == 0)
  }

  // MARK: - Unmask by eventfd

  @Test func unmaskEventfdArguments() {
    let (fd, _) = b.event()
    #expect(unmaskEventfdError(0, [fd]) == .invalidArgument)
    #expect(error(0, [fd]) == nil)
    #expect(unmaskEventfdError(1, [fd]) == .invalidArgument)
    #expect(unmaskEventfdError(2, []) == .invalidArgument)
    #expect(unmaskEventfdError(3, []) == .invalidArgument)
    #expect(unmaskEventfdError(0, [fd, fd]) == .invalidArgument)
    #expect(unmaskEventfdError(0, [99]) == .badFileDescriptor)
    #expect(unmaskEventfdError(0, [b.client.install(.other)]) == .invalidArgument)
    #expect(unmaskEventfdError(0, []) == nil)
    #expect(unmaskEventfdError(0, [-1]) == nil)
  }

  @Test func unmasksByEventfd() throws {
    let (fd, event) = b.event()
    let (unmaskFD, unmask) = b.event()
    #expect(error(0, [fd]) == nil)
    #expect(unmaskEventfdError(0, [unmaskFD]) == nil)
    #expect(unmaskEventfdError(0, [unmaskFD]) == .invalidArgument)
    #expect(unmask.watchCount == 1)
    try write(raise, 1)
    #expect(event.take() == 1)
    unmask.clientSignals()
    #expect(event.take() == 1)
    try write(acknowledge, 1)
    unmask.clientSignals()
    #expect(event.take() == 0)
    try write(raise, 1)
    #expect(event.take() == 1)
    #expect(unmaskEventfdError(0, []) == nil)
    #expect(unmask.watchCount == 0)
    unmask.clientSignals()
    #expect(event.take() == 0)
    #expect(unmaskEventfdError(0, [unmaskFD]) == nil)
  }

  @Test func clearingINTxDropsTheUnmaskEventfd() {
    let (fd, _) = b.event()
    let (unmaskFD, unmask) = b.event()
    #expect(error(0, [fd]) == nil)
    #expect(unmaskEventfdError(0, [unmaskFD]) == nil)
    #expect(error(0, []) == nil)
    #expect(unmask.watchCount == 0)
  }

  // MARK: - MSI

  @Test func eachMessageSignals() throws {
    let (fd, event) = b.event()
    #expect(error(1, [fd]) == nil)
    try write(raise, 1)
    try write(raise, 2)
    #expect(event.take() == 2)
    // The pin is low meanwhile.
    #expect(try b.config(6, bytes: 2) == 0x10)
    #expect(error(1, []) == nil)
    try write(raise, 4)
    #expect(event.take() == 0)
  }

  @Test func messagesNeedBusMastering() throws {
    let (fd, event) = b.event()
    #expect(error(1, [fd]) == nil)
    try b.setConfig(4, 0x103, bytes: 2)
    try write(raise, 1)
    try b.setConfig(4, 0x107, bytes: 2)
    #expect(event.take() == 0)
    try write(raise, 1)
    #expect(event.take() == 1)
  }

  @Test func theEnableBitSilencesMessages() throws {
    let (fd, event) = b.event()
    #expect(error(1, [fd]) == nil)
    try b.setConfig(0x42, 0, bytes: 2)
    try write(raise, 1)
    #expect(event.take() == 0)
    try b.setConfig(0x42, 1, bytes: 2)
    try write(raise, 1)
    #expect(event.take() == 1)
  }

  @Test func aLineHeldUnderMSIShowsWhenItIsOff() throws {
    let (msi, _) = b.event()
    let (fd, event) = b.event()
    #expect(error(1, [msi]) == nil)
    try write(raise, 1)
    #expect(error(1, []) == nil)
    #expect(error(0, [fd]) == nil)
    #expect(event.take() == 1)
  }

  @Test func vectorsGoToTheirOwnEventfds() throws {
    let maker = ModelDouble.Maker()
    let many = try PCIBench(maker.kind(.double))
    let model = try #require(maker.model)
    try many.setConfig(4, 0x107, bytes: 2)
    #expect(!model.port.isMSIEnabled)
    #expect(!model.port.sendMSI(vector: 0))
    let (zero, zeroEvent) = many.event()
    let (two, twoEvent) = many.event()
    try many.client.setEventfds(many.device, 1, [zero, -1, two])
    #expect(model.port.isMSIEnabled)
    for vector in [0, 1, 2] { #expect(model.port.sendMSI(vector: vector)) }
    for vector in [3, 4, -1] { #expect(!model.port.sendMSI(vector: vector)) }
    #expect(zeroEvent.take() == 1)
    #expect(twoEvent.take() == 1)
  }

  @Test func oneBadDescriptorOfManySetsNothing() throws {
    let maker = ModelDouble.Maker()
    let many = try PCIBench(maker.kind(.double))
    let (fd, _) = many.event()
    #expect(
      errno { () throws(Errno) in
        try many.client.setEventfds(many.device, 1, [fd, fd, 99])
      } == .badFileDescriptor)
    #expect(
      errno { () throws(Errno) in try many.client.setEventfds(many.device, 1, []) }
        == .invalidArgument)
    #expect(try many.config(0x42, bytes: 2) & 1 == 0)
  }

  // MARK: - The last close

  @Test(arguments: [0, 1] as [UInt32])
  func theLastCloseDropsTheEventfds(index: UInt32) throws {
    let (fd, event) = b.event()
    let (unmaskFD, unmask) = b.event()
    #expect(error(index, [fd]) == nil)
    if index == 0 { #expect(unmaskEventfdError(0, [unmaskFD]) == nil) }
    let second = try b.client.getDevice(b.group, b.name)
    b.client.close(b.device)
    try b.client.write(second, 0, raise, 1)
    #expect(event.take() == 1)
    b.client.close(second)
    #expect(unmask.watchCount == 0)
    let again = try b.client.getDevice(b.group, b.name)
    try b.client.write(again, 7, 4, 0x107, bytes: 2)
    try b.client.write(again, 0, raise, 2)
    #expect(event.take() == 0)
    #expect(
      errno { () throws(Errno) in try b.client.setEventfds(again, index, [fd]) } == nil)
  }
}
