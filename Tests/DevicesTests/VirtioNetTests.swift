import DeviceKit
import Devices
import Testing

/// A virtio-net on the bench, and a driver's view of its two queues.
struct VirtioNetBench {
  /// A queue in the bench's memory: descriptors, the available ring and the used ring.
  struct Queue {
    let number: UInt64
    let page: Int
    var available = 0

    var table: Int { page << 12 }
    var ring: Int { table + 4096 }
    var used: Int { table + 8192 }
  }

  struct Descriptor {
    var address: Int
    var count: Int
    var flags = 0
    var next = 0
  }

  let port = PortDouble()
  let net: VirtioNet
  var receive = Queue(number: 0, page: 1)
  var transmit = Queue(number: 1, page: 4)

  init(isStarted: Bool = true) {
    net = VirtioNet(port: port, station: 0x0a01)
    if isStarted { start() }
  }

  func start() {
    for queue in [receive, transmit] {
      write(0x0e, queue.number, .word)
      write(0x08, UInt64(queue.page), .dword)
    }
    write(0x12, 7, .byte)
  }

  func read(_ offset: UInt64, _ width: AccessWidth) -> UInt64 {
    net.read(bar: 0, offset: offset, width: width)
  }

  func write(_ offset: UInt64, _ value: UInt64, _ width: AccessWidth) {
    net.write(bar: 0, offset: offset, width: width, value: value)
  }

  func put(_ address: Int, _ value: Int, bytes: Int) {
    port.state.withLock { state in
      for i in 0..<bytes {
        state.memory[address + i] = UInt8(truncatingIfNeeded: value >> (8 * i))
      }
    }
  }

  func get(_ address: Int, bytes: Int) -> Int {
    port.state.withLock { state in
      (0..<bytes).reduce(0) { $0 | Int(state.memory[address + $1]) << (8 * $1) }
    }
  }

  func fill(_ address: Int, _ bytes: [UInt8]) {
    port.state.withLock {
      $0.memory.replaceSubrange(address..<(address + bytes.count), with: bytes)
    }
  }

  func memory(_ address: Int, _ count: Int) -> [UInt8] {
    port.state.withLock { Array($0.memory[address..<(address + count)]) }
  }

  func describe(_ queue: Queue, _ index: Int, _ descriptor: Descriptor) {
    let at = queue.table + 16 * index
    put(at, descriptor.address, bytes: 8)
    put(at + 8, descriptor.count, bytes: 4)
    put(at + 12, descriptor.flags, bytes: 2)
    put(at + 14, descriptor.next, bytes: 2)
  }

  func makeAvailable(_ queue: inout Queue, head: Int) {
    put(queue.ring + 4 + 2 * (queue.available % 256), head, bytes: 2)
    queue.available += 1
    put(queue.ring + 2, queue.available & 0xffff, bytes: 2)
  }

  /// Room for a frame at `address`, described by the receive queue's descriptor `index`.
  mutating func offerRoom(_ index: Int, at address: Int, count: Int = 2048) {
    describe(receive, index, Descriptor(address: address, count: count, flags: 2))
    makeAvailable(&receive, head: index)
  }

  /// A frame with its header in one descriptor.
  mutating func queueFrame(_ index: Int, at address: Int, _ frame: [UInt8]) {
    fill(address, [UInt8](repeating: 0, count: 10) + frame)
    describe(transmit, index, Descriptor(address: address, count: frame.count + 10))
    makeAvailable(&transmit, head: index)
  }

  func notify() {
    write(0x10, 1, .word)
    port.scheduler.advance(by: .zero)
  }

  func usedIndex(_ queue: Queue) -> Int { get(queue.used + 2, bytes: 2) }
}

struct VirtioNetTests {
  private let frame: [UInt8] = (0..<64).map { $0 ^ 0x5a }

  @Test func description() throws {
    let model = try #require(DeviceCatalogue().model(named: "virtio-net"))
    #expect(model.parameters.map(\.name) == ["station"])
    let kind = model.kind(["station": .number(0xfffe)])
    #expect(kind.description.deviceID == 0x1000)
    #expect(kind.description.bars == [0: .io(size: 32)])
    let net = kind.make(PortDouble())
    #expect(net.read(bar: 0, offset: 0x18, width: .word) == 0xfeff)
    #expect(model.kind([:]).make(PortDouble()).read(bar: 0, offset: 0x18, width: .word) == 0x0100)
  }

  @Test func registers() {
    let bench = VirtioNetBench(isStarted: false)
    #expect(bench.read(0x00, .dword) == 1 << 5 | 1 << 16)
    bench.write(0x04, 0xffff_ffff, .dword)
    #expect(bench.read(0x04, .dword) == 1 << 5 | 1 << 16)
    for (queue, size) in [(0, 256), (1, 256), (2, 0)] as [(UInt64, UInt64)] {
      bench.write(0x0e, queue, .word)
      #expect(bench.read(0x0e, .word) == queue)
      #expect(bench.read(0x0c, .word) == size)
      bench.write(0x08, 0x1234 + queue, .dword)
      #expect(bench.read(0x08, .dword) == (size == 0 ? 0 : 0x1234 + queue))
    }
    #expect(bench.read(0x14, .dword) == 2)
    #expect(bench.read(0x18, .word) == 0x010a)
    #expect(bench.read(0x1a, .word) == 1)
    #expect(bench.read(0x1c, .dword) == 0)
  }

  @Test func aFrameComesBack() {
    var bench = VirtioNetBench()
    bench.offerRoom(7, at: 0x8000)
    bench.fill(0x8000, [UInt8](repeating: 0xee, count: 100))
    bench.queueFrame(3, at: 0x9000, frame)
    bench.notify()
    #expect(bench.memory(0x8000, 10) == [UInt8](repeating: 0, count: 10))
    #expect(bench.memory(0x800a, 64) == frame)
    #expect(bench.get(0x804a, bytes: 1) == 0xee)
    #expect(bench.usedIndex(bench.receive) == 1)
    #expect(bench.get(bench.receive.used + 4, bytes: 8) == 74 << 32 | 7)
    #expect(bench.usedIndex(bench.transmit) == 1)
    #expect(bench.get(bench.transmit.used + 4, bytes: 8) == 3)
    #expect(bench.port[\.isINTxAsserted])
    #expect(bench.read(0x13, .byte) == 1)
    #expect(!bench.port[\.isINTxAsserted])
    #expect(bench.read(0x13, .byte) == 0)
  }

  @Test func chainsOfSeveralDescriptors() {
    var bench = VirtioNetBench()
    bench.describe(bench.receive, 0, .init(address: 0x8000, count: 10, flags: 3, next: 5))
    bench.describe(bench.receive, 5, .init(address: 0x8100, count: 30, flags: 3, next: 2))
    bench.describe(bench.receive, 2, .init(address: 0x8200, count: 90, flags: 2))
    bench.makeAvailable(&bench.receive, head: 0)
    bench.fill(0x9000, frame)
    bench.describe(bench.transmit, 0, .init(address: 0xa000, count: 10, flags: 1, next: 9))
    bench.describe(bench.transmit, 9, .init(address: 0x9000, count: 64))
    bench.makeAvailable(&bench.transmit, head: 0)
    bench.notify()
    #expect(bench.memory(0x8100, 30) + bench.memory(0x8200, 34) == frame)
    #expect(bench.get(bench.receive.used + 4, bytes: 8) == 74 << 32)
  }

  @Test func withoutRoomAFrameIsLost() {
    var bench = VirtioNetBench()
    bench.queueFrame(0, at: 0x9000, frame)
    bench.notify()
    #expect(bench.usedIndex(bench.transmit) == 1)
    #expect(bench.usedIndex(bench.receive) == 0)
    bench.offerRoom(0, at: 0x8000)
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 0)
    #expect(bench.port[\.reports].isEmpty)
  }

  @Test func noInterruptForDriversThatPoll() {
    var bench = VirtioNetBench()
    bench.put(bench.receive.ring, 1, bytes: 2)
    bench.put(bench.transmit.ring, 1, bytes: 2)
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 1)
    #expect(!bench.port[\.isINTxAsserted])
    #expect(bench.read(0x13, .byte) == 0)
  }

  @Test func indicesGoAround() {
    var bench = VirtioNetBench()
    for round in 0..<300 {
      for i in 0..<256 { bench.offerRoom(i, at: 0x8000) }
      for i in 0..<256 { bench.queueFrame(i, at: 0x9000, [UInt8(round & 0xff)]) }
      bench.notify()
      #expect(bench.usedIndex(bench.receive) == (round + 1) * 256 & 0xffff)
      #expect(bench.get(0x800a, bytes: 1) == round & 0xff)
    }
    #expect(bench.port[\.reports].isEmpty)
  }

  @Test func beforeTheDriverIsReadyNothingMoves() {
    var bench = VirtioNetBench()
    bench.write(0x12, 3, .byte)
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.notify()
    #expect(bench.port[\.transfers] == 0)
    bench.write(0x12, 7, .byte)
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 1)
  }

  @Test(arguments: [true, false])
  func resetStopsAndClears(byStatus: Bool) {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.write(0x10, 1, .word)
    if byStatus { bench.write(0x12, 0, .byte) } else { bench.net.reset() }
    bench.port.scheduler.advance(by: .zero)
    #expect(bench.port[\.transfers] == 0)
    #expect(bench.read(0x12, .byte) == 0)
    #expect(bench.read(0x08, .dword) == 0)
    bench.start()
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 1)
  }

  @Test func resetInTheMiddleLeavesTheRingsAlone() {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.port.set(\.onTransfer, { [net = bench.net] in net.reset() })
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 0)
    #expect(bench.usedIndex(bench.transmit) == 0)
    #expect(bench.read(0x13, .byte) == 0)
  }

  /// A client that goes takes bus mastering along. The next one turns it on again: what the first one's driver
  /// has begun must not reach its memory, however long an access of it took.
  @Test(arguments: 1...9) func busMasteringOffAndOnInTheMiddleEndsIt(at transfer: Int) {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.port.set(
      \.onTransfer,
      { [net = bench.net, port = bench.port] in
        guard port[\.transfers] + 1 == transfer else { return }
        net.busMasterChanged(isEnabled: false)
        net.busMasterChanged(isEnabled: true)
      })
    bench.notify()
    #expect(bench.port[\.transfers] == transfer)
    #expect(bench.usedIndex(bench.receive) == 0)
    #expect(bench.usedIndex(bench.transmit) == 0)
    #expect(bench.port[\.reports] == [])
  }

  @Test func notificationsWhileItMovesAreNotLost() {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000)
    bench.offerRoom(1, at: 0x8800)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.write(0x10, 1, .word)
    bench.write(0x10, 1, .word)
    #expect(bench.port.scheduler.pending == 1)
    bench.port.scheduler.advance(by: .zero)
    bench.queueFrame(1, at: 0xa000, frame)
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 2)
    #expect(bench.port.scheduler.pending == 0)
  }

  // MARK: - Drivers that do wrong

  static let wrongs: [VirtioNetBench.Descriptor] = [
    .init(address: 0x9000, count: 74, flags: 1, next: 256),
    .init(address: 0x9000, count: 1, flags: 1, next: 0),
    .init(address: 0x9000, count: 0xffff_ffff),
    .init(address: 0xffff, count: 74),
    .init(address: 1 << 48, count: 74),
  ]

  @Test(arguments: 0..<wrongs.count)
  func wrongDescriptorsStopTheQueue(_ index: Int) {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000)
    bench.describe(bench.transmit, 0, Self.wrongs[index])
    bench.makeAvailable(&bench.transmit, head: 0)
    bench.notify()
    #expect(bench.port[\.reports].count == 1)
    #expect(bench.usedIndex(bench.transmit) == 0)
    #expect(bench.port.scheduler.pending == 0)
  }

  @Test func headThatIsNoDescriptor() {
    var bench = VirtioNetBench()
    bench.makeAvailable(&bench.transmit, head: 256)
    bench.notify()
    #expect(
      bench.port[\.reports] == [
        "virtio-net stopped at what its driver put into a queue: there is no descriptor 256"
      ])
  }

  @Test func moreThanTheQueueHas() {
    let bench = VirtioNetBench()
    bench.put(bench.transmit.ring + 2, 257, bytes: 2)
    bench.notify()
    #expect(bench.port[\.reports].count == 1)
  }

  @Test func tooLittleRoom() {
    var bench = VirtioNetBench()
    bench.offerRoom(0, at: 0x8000, count: 73)
    bench.fill(0x8000, [0xee])
    bench.queueFrame(0, at: 0x9000, frame)
    bench.notify()
    #expect(bench.port[\.reports].count == 1)
    #expect(bench.get(0x8000, bytes: 1) == 0xee)
  }

  @Test func withBusMasteringOffNothingMoves() {
    var bench = VirtioNetBench()
    bench.port.set(\.isBusMaster, false)
    bench.offerRoom(0, at: 0x8000)
    bench.queueFrame(0, at: 0x9000, frame)
    bench.notify()
    #expect(bench.usedIndex(bench.transmit) == 0)
    bench.port.set(\.isBusMaster, true)
    bench.notify()
    #expect(bench.usedIndex(bench.receive) == 1)
  }
}
