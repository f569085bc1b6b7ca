import DeviceKit
import Devices
import Synchronization
import TestSupport
import Testing

struct PL081Tests {
  /// The wires of the controller on the test's bench, and memory below 64 KiB.
  private final class Bench: PlatformDevicePort, DMAPort {
    struct State {
      var memory = [UInt8](repeating: 0, count: 0x10000)
      var wires = [false, false, false]
      var reports: [String] = []
      var onRead: (@Sendable () -> Void)?
    }

    let state = Mutex(State())
    let scheduler = ManualScheduler()

    var dma: any DMAPort { self }
    func memory(region: Int) -> (any DeviceMemory)? { nil }

    func setInterrupt(_ index: Int, asserted: Bool) {
      state.withLock { $0.wires[index] = asserted }
    }

    func after(_ delay: Duration, _ work: @escaping @Sendable () -> Void) {
      scheduler.after(delay, work)
    }

    func report(_ sentence: String) {
      state.withLock { $0.reports.append(sentence) }
    }

    func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
      state.withLock { $0.onRead }?()
      return state.withLock { state in
        guard iova.rawValue + UInt64(buffer.count) <= 0x10000 else {
          return DMAFault(iova: iova, cause: .unmapped)
        }
        for i in buffer.indices { buffer[i] = state.memory[Int(iova.rawValue) + i] }
        return nil
      }
    }

    func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
      state.withLock { state in
        guard iova.rawValue + UInt64(buffer.count) <= 0x10000 else {
          return DMAFault(iova: iova, cause: .unmapped)
        }
        for i in buffer.indices { state.memory[Int(iova.rawValue) + i] = buffer[i] }
        return nil
      }
    }

    var wires: [Bool] { state.withLock { $0.wires } }

    subscript(_ range: Range<Int>) -> [UInt8] {
      get { state.withLock { Array($0.memory[range]) } }
      set { state.withLock { $0.memory.replaceSubrange(range, with: newValue) } }
    }
  }

  private let bench = Bench()
  private let device: PL081
  private let go: UInt64 = 1 | 1 << 14 | 1 << 15
  private let interrupts: UInt64 = 1 << 31

  init() {
    device = PL081(port: bench)
    set(0x30, 1)
  }

  private func set(_ offset: UInt64, _ value: UInt64) {
    device.write(region: 0, offset: offset, width: .dword, value: value)
  }

  private func get(_ offset: UInt64) -> UInt64 {
    device.read(region: 0, offset: offset, width: .dword)
  }

  /// Words of 4 bytes on both sides, both addresses going up.
  private func words(_ count: UInt64) -> UInt64 {
    count | 2 << 18 | 2 << 21 | 1 << 26 | 1 << 27
  }

  private func start(
    channel: UInt64 = 0, from: UInt64, to: UInt64, list: UInt64 = 0, _ control: UInt64
  ) {
    let base = 0x100 + 0x20 * channel
    for (i, value) in [from, to, list, control, go].enumerated() {
      set(base + 4 * UInt64(i), value)
    }
  }

  private func run() {
    bench.scheduler.advance(by: .seconds(1))
  }

  @Test func identification() {
    let bytes = stride(from: 0xfe0 as UInt64, to: 0x1000, by: 4).map(get)
    #expect(bytes == [0x81, 0x10, 0x04, 0x0a, 0x0d, 0xf0, 0x05, 0xb1])
    #expect(device.read(region: 0, offset: 0xfe0, width: .byte) == 0)
  }

  @Test func transfer() {
    bench[0..<8] = [1, 2, 3, 4, 5, 6, 7, 8]
    start(from: 0, to: 0x100, words(2) | interrupts)
    #expect(get(0x1c) == 1)
    #expect(bench.wires == [false, false, false])
    run()
    #expect(bench[0x100..<0x10c] == [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0])
    #expect(get(0x1c) == 0)
    #expect([get(0x00), get(0x04), get(0x0c), get(0x14)] == [1, 1, 0, 1])
    #expect(bench.wires == [true, true, false])
    #expect([get(0x100), get(0x104), get(0x10c) & 0xfff] == [8, 0x108, 0])
    set(0x08, 1)
    #expect(bench.wires == [false, false, false])
  }

  @Test func interruptsAreMasked() {
    start(from: 0, to: 0x100, words(1) | interrupts)
    set(0x110, 1)
    run()
    #expect([get(0x04), get(0x14)] == [0, 1])
    #expect(bench.wires == [false, false, false])
    // The mask is in the configuration of a channel that is not enabled any more.
    set(0x110, 1 << 15)
    #expect(bench.wires == [true, true, false])
  }

  @Test func addressesThatStay() {
    bench[0..<8] = [1, 2, 3, 4, 5, 6, 7, 8]
    start(from: 0, to: 0x100, 2 | 2 << 18 | 2 << 21 | 1 << 27)
    run()
    #expect(bench[0x100..<0x108] == [1, 2, 3, 4, 1, 2, 3, 4])
    start(from: 0, to: 0x200, 2 | 2 << 18 | 2 << 21 | 1 << 26)
    run()
    #expect(bench[0x200..<0x208] == [5, 6, 7, 8, 0, 0, 0, 0])
  }

  @Test func list() {
    bench[0..<4] = [1, 2, 3, 4]
    // The second item is at 0x300 and the last.
    bench[0x300..<0x310] = [
      0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0x48, 0x8c,
    ]
    start(from: 0, to: 0x100, list: 0x300, words(1))
    run()
    #expect(bench[0x100..<0x104] == [1, 2, 3, 4])
    #expect(bench[0x180..<0x184] == [1, 2, 3, 4])
    #expect(get(0x14) == 1)
  }

  @Test func listWithoutEndLetsOthersWork() {
    bench[0x300..<0x310] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 1, 0, 0x48, 0x0c]
    start(from: 0, to: 0x100, list: 0x300, words(1))
    for _ in 0..<100 {
      #expect(bench.scheduler.pending == 1)
      bench.scheduler.advance(by: .microseconds(10))
    }
    device.stop()
    run()
    #expect(bench.scheduler.pending == 0)
    #expect(get(0x1c) == 0)
  }

  @Test(
    arguments: [
      (from: 0x1_0000, to: 0x100, control: 1 | 2 << 18 | 2 << 21),
      (from: 0, to: 0xfffe_0000, control: 1 | 2 << 18 | 2 << 21),
      (from: 2, to: 0x100, control: 1 | 2 << 18 | 2 << 21),
      (from: 0, to: 0x100, control: 1 | 3 << 18 | 2 << 21),
      (from: 0, to: 0x100, control: 3 | 0 << 18 | 2 << 21),
    ] as [(from: UInt64, to: UInt64, control: UInt64)])
  func errors(from: UInt64, to: UInt64, control: UInt64) {
    start(from: from, to: to, control | 1 << 31)
    run()
    #expect([get(0x00), get(0x04), get(0x0c), get(0x1c)] == [1, 0, 1, 0])
    #expect(bench.wires == [true, false, true])
    #expect(bench.state.withLock { $0.reports.count } == 1)
    set(0x10, 1)
    #expect(bench.wires == [false, false, false])
  }

  @Test func priority() {
    start(channel: 1, from: 0, to: 0x100, words(1) | interrupts)
    start(channel: 0, from: 0, to: 0x100, words(1) | interrupts)
    bench.scheduler.advance(by: .microseconds(10))
    #expect(get(0x14) == 0b01)
    run()
    #expect(get(0x14) == 0b11)
  }

  @Test func whatIsNotForTheEngineWaits() {
    start(from: 0, to: 0x100, words(1))
    run()
    set(0x110, go | 1 << 11)
    #expect(bench.scheduler.pending == 0)
    set(0x110, go | 1 << 18)
    #expect(bench.scheduler.pending == 0)
    set(0x30, 0)
    set(0x110, go)
    #expect(bench.scheduler.pending == 0)
  }

  enum End: CaseIterable, Sendable {
    case reset, disable
    /// The last client has gone: what is written after it may reach the next one's memory.
    case stop
  }

  /// A transfer that began before its end from outside has no effect after it, however long its read took.
  @Test(arguments: End.allCases) func endFromOutside(by end: End) {
    let device = device
    bench[0..<16] = [UInt8](repeating: 7, count: 16)
    bench.state.withLock { state in
      state.onRead = {
        switch end {
        case .reset: device.reset()
        case .disable: device.write(region: 0, offset: 0x110, width: .dword, value: 0)
        case .stop: device.stop()
        }
      }
    }
    start(from: 0, to: 0x100, words(4) | interrupts)
    run()
    #expect(get(0x14) == 0)
    #expect(get(0x10c) == (end == .reset ? 0 : words(4) | interrupts))
    #expect(bench.wires == [false, false, false])
    #expect(bench[0x100..<0x110] == [UInt8](repeating: 0, count: 16))
    #expect(bench.state.withLock { $0.reports } == [])
  }
}
