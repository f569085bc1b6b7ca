import ClientAccess
import Devices
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

/// `VFIO_DEVICE_SET_IRQS` on edu, which has INTx and one MSI vector and is no PCIe device.
@Suite struct MainlineInterruptTests {
  let client = MemoryClient()
  let machine: Machine
  let device: Int32
  let event = EventDouble()
  let fd: Int32

  init() throws {
    machine = try Machine()
    device = try client.open(machine.vfio, 241, "0000:07:00.0").device
    fd = client.install(.event(event))
  }

  private func set(
    _ flags: Mainline.IRQSet.Flags, _ index: Mainline.PCIInterrupt, start: UInt32 = 0,
    count: UInt32 = 1, data: [UInt8] = []
  ) -> Errno? {
    errno { () throws(Errno) in
      try client.setIRQs(device, flags, index, start: start, count: count, data: data)
    }
  }

  private func eventfd(
    _ index: Mainline.PCIInterrupt, _ descriptor: Int32,
    action: Mainline.IRQSet.Flags = .trigger
  ) -> Errno? {
    errno { () throws(Errno) in
      try client.setEventfds(device, index, [descriptor], action: action)
    }
  }

  @Test func argument() {
    #expect(set([.none, .bool, .trigger], .intx) == .invalidArgument)
    #expect(set(.trigger, .intx) == .invalidArgument)
    #expect(set(.none, .intx) == .inappropriateIOCTLForDevice)
    #expect(set([.none, .mask, .unmask], .msi) == .inappropriateIOCTLForDevice)
    #expect(set([.none, .trigger], .intx, start: 1) == .invalidArgument)
    #expect(set([.none, .trigger], .intx, count: .max) == .invalidArgument)
    #expect(set([.eventfd, .trigger], .intx, data: [1, 2, 3]) == .invalidArgument)
    #expect(set([.none, .trigger], .msix) == .invalidArgument)
    #expect(set([.none, .trigger], .error) == .invalidArgument)
    #expect(set([.eventfd, .trigger], .msi, count: 0) == .outOfRange)
  }

  @Test(arguments: [Mainline.PCIInterrupt.intx, .msi])
  func enableLoopBackDisable(_ index: Mainline.PCIInterrupt) {
    #expect(set([.none, .trigger], index, count: 0) == .invalidArgument)
    #expect(eventfd(index, 99) == .badFileDescriptor)
    // What failed has enabled nothing.
    #expect(set([.none, .trigger], index) == .invalidArgument)
    #expect(eventfd(index, fd) == nil)
    #expect(set([.none, .trigger], index) == nil)
    #expect(set([.bool, .trigger], index, data: [1]) == nil)
    #expect(set([.bool, .trigger], index, data: [0]) == nil)
    #expect(event.take() == 2)
    #expect(set([.none, .trigger], index, count: 0) == nil)
    #expect(set([.none, .trigger], index, count: 0) == .invalidArgument)
  }

  /// Whatever a device reports before the client asks to be told of it, or after, is lost.
  @Test func aDevicesError() throws {
    let machine = try Machine()
    try machine.add("0000:0c:00.0", group: 12, kind: TestDevice.model.kind([:]))
    let (_, _, device) = try client.open(machine.vfio, 12, "0000:0c:00.0")
    func fail() throws { try client.write(device, 0, 0x44, 1, bytes: 4) }
    let event = EventDouble()
    let fd = client.install(.event(event))
    try fail()
    try client.setEventfds(device, .error, [fd])
    #expect(event.take() == 0)
    try fail()
    #expect(event.take() == 1)
    try client.setEventfds(device, .error, [-1])
    try fail()
    #expect(event.take() == 0)
  }

  @Test func anEventfdThatIsNone() {
    #expect(eventfd(.intx, -1) == nil)
    // It is enabled all the same.
    #expect(set([.none, .mask], .intx) == nil)
    #expect(eventfd(.msi, fd) == .invalidArgument)
    #expect(set([.none, .trigger], .msi, count: 0) == .invalidArgument)
  }

  @Test func aBadEventfdLosesAVectorButNotINTx() {
    #expect(eventfd(.intx, fd) == nil)
    #expect(eventfd(.intx, 99) == .badFileDescriptor)
    #expect(set([.none, .trigger], .intx) == nil)
    #expect(event.take() == 1)
    #expect(set([.none, .trigger], .intx, count: 0) == nil)
    #expect(eventfd(.msi, fd) == nil)
    #expect(eventfd(.msi, 99) == .badFileDescriptor)
    #expect(set([.none, .trigger], .msi) == nil)
    #expect(event.take() == 0)
  }

  @Test func maskingINTx() throws {
    #expect(set([.none, .mask], .intx) == .invalidArgument)
    #expect(set([.none, .mask], .msi) == .inappropriateIOCTLForDevice)
    #expect(eventfd(.intx, fd) == nil)
    #expect(eventfd(.intx, fd, action: .mask) == .inappropriateIOCTLForDevice)
    #expect(set([.none, .mask], .intx) == nil)
    // edu's interrupt: bit 0 of the register at 0x60 raises it.
    try client.write(device, 0, 0x60, 1)
    #expect(event.take() == 0)
    #expect(set([.none, .unmask], .intx) == nil)
    #expect(event.take() == 1)
    // Still up, and masked by its delivery.
    #expect(set([.none, .unmask], .intx) == nil)
    #expect(event.take() == 1)
  }

  @Test func unmaskingByEventfd() throws {
    let unmask = EventDouble()
    let unmaskFD = client.install(.event(unmask))
    #expect(eventfd(.intx, unmaskFD, action: .unmask) == .invalidArgument)
    #expect(eventfd(.intx, fd) == nil)
    #expect(eventfd(.intx, unmaskFD, action: .unmask) == nil)
    #expect(eventfd(.intx, unmaskFD, action: .unmask) == .resourceBusy)
    #expect(eventfd(.intx, 99, action: .unmask) == .badFileDescriptor)
    try client.write(device, 0, 0x60, 1)
    #expect(event.take() == 1)
    unmask.clientSignals()
    #expect(event.take() == 1)
    #expect(eventfd(.intx, -1, action: .unmask) == nil)
    unmask.clientSignals()
    #expect(event.take() == 0)
  }

  @Test func loopbackHeedsTheCommandRegister() throws {
    #expect(eventfd(.intx, fd) == nil)
    try client.write(device, 7, 4, 0x503, bytes: 2)
    #expect(set([.none, .trigger], .intx) == nil)
    #expect(event.take() == 0)
    try client.write(device, 7, 4, 0x103, bytes: 2)
    #expect(set([.none, .trigger], .intx) == nil)
    #expect(event.take() == 1)
  }

  @Test func theRequest() {
    #expect(set([.none, .trigger], .request) == .invalidArgument)
    #expect(set([.bool, .trigger], .request, data: [1]) == nil)
    #expect(eventfd(.request, -1) == nil)
    #expect(eventfd(.request, fd) == nil)
    #expect(eventfd(.request, 99) == .badFileDescriptor)
    #expect(set([.none, .trigger], .request) == nil)
    #expect(event.take() == 1)
    #expect(set([.none, .mask], .request) == .inappropriateIOCTLForDevice)
    #expect(set([.none, .trigger], .request, count: 0) == nil)
    #expect(set([.none, .trigger], .request, count: 0) == .invalidArgument)
  }
}
