import CLinux
import ClientAccess
import DeviceKit
import Glibc
import SoftIOMMU
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Threads

/// A mapper, an unmapper and four devices at once. `scripts/test --tsan` runs it under ThreadSanitizer as well.
/// A change that does not lock the lanes is a race to that; an unmap that does not wait for transfers fails by
/// the plain stores that follow it here.
struct RaceTests {
  private static let page = 4096

  /// Runs `body` on a thread of its own for each number, and waits for all.
  private func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    let done = Semaphore()
    for i in 0..<count {
      try Thread.start(name: "race \(i)") {
        body(i)
        done.signal()
      }
    }
    for _ in 0..<count { #expect(done.wait(milliseconds: 300_000)) }
  }

  @Test(arguments: [true, false])
  func mapperUnmapperAndFourDevices(isShared: Bool) throws {
    let slots = 16
    let file = try TestFile(pages: slots)
    let memory = try file.map(isShared: isShared)
    let space = try ownAddressSpace()
    let domain = SoftIOMMU(rules: .type1v2)
    let ports = (0..<4).map { _ in DomainPort() }
    for port in ports { port.attach(to: domain) }
    domain.startDirtyTracking()
    let stop = Atomic<Bool>(false)
    let moved = Atomic<Int>(0)

    try concurrently(6) { i in
      var random = SplitMix64(seed: UInt64(i))
      func slot() -> UInt64 { .random(in: 0..<UInt64(slots), using: &random) * UInt64(Self.page) }
      switch i {
      case 0:
        while !stop.load(ordering: .acquiring) {
          let at = slot()
          _ = errno { () throws(Errno) in
            try domain.map(
              iova: IOVA(at), vaddr: ClientAddress(memory.address + at), size: UInt64(Self.page),
              permissions: [.read, .write], memory: space, lockLimit: .max)
          }
        }
      case 1:
        // On a busy machine the devices may not have had a turn by then.
        var left = 2000
        while left > 0 || moved.load(ordering: .relaxed) == 0 {
          left -= 1
          let at = slot()
          _ = errno { () throws(Errno) in
            try domain.unmap(iova: IOVA(at), size: UInt64(Self.page))
          }
        }
        stop.store(true, ordering: .releasing)
      default:
        // A quarter of each page for each device: they do not race with each other.
        let port = ports[i - 2]
        let sent = [UInt8](repeating: UInt8(i), count: 256)
        while !stop.load(ordering: .acquiring) {
          let iova = IOVA(slot() + UInt64((i - 2) * Self.page / 4))
          if port.write(iova, sent) == nil {
            moved.add(1, ordering: .relaxed)
            let (bytes, fault) = port.read(iova, count: 256)
            if fault == nil, bytes != sent { Issue.record("device \(i) read another's bytes") }
          }
        }
      }
    }
    #expect(moved.load(ordering: .relaxed) > 0)
    domain.unmapAll()
    for port in ports { port.detach(from: domain) }
  }

  /// Two devices at one aligned word: what one reads is all of what the other wrote, or nothing of it.
  @Test(arguments: [2, 4, 8])
  func aWordIsNeverHalf(width: Int) throws {
    let memory = try TestFile(pages: 1).map()
    let domain = SoftIOMMU()
    let ports = [DomainPort(), DomainPort()]
    for port in ports { port.attach(to: domain) }
    try domain.map(
      iova: IOVA(0), vaddr: ClientAddress(memory.address), size: UInt64(Self.page),
      permissions: [.read, .write], memory: ownAddressSpace(), lockLimit: .max)
    let stop = Atomic<Bool>(false)
    try concurrently(2) { i in
      if i == 0 {
        var turn: UInt8 = 0
        while !stop.load(ordering: .acquiring) {
          turn = ~turn
          _ = ports[0].write(IOVA(8), [UInt8](repeating: turn, count: width))
        }
        return
      }
      var seen: Set<[UInt8]> = []
      for _ in 0..<20_000 { seen.insert(ports[1].read(IOVA(8), count: width).bytes) }
      stop.store(true, ordering: .releasing)
      #expect(
        seen.isSubset(of: [
          [UInt8](repeating: 0, count: width), [UInt8](repeating: 0xff, count: width),
        ]))
    }
    for port in ports { port.detach(from: domain) }
  }

  /// Each turn unmaps what a device is writing to, and writes there itself: to the end of what a short
  /// transfer writes under the lane's lock, and of what a long one writes without.
  @Test(arguments: [(pages: 1, bytes: 8), (pages: 256, bytes: 1 << 20)])
  func whoUnmapsMayUseTheMemoryAtOnce(pages: Int, bytes: Int) throws {
    let size = pages * Self.page
    let file = try TestFile(pages: pages)
    let memory = try file.map(isShared: true)
    let space = try ownAddressSpace()
    let domain = SoftIOMMU(rules: .type1v2)
    let port = DomainPort()
    port.attach(to: domain)
    let range = ClientAddress(memory.address)..<ClientAddress(memory.address + UInt64(size))
    let window = try #require(try space.mapped(range, writable: true).window)
    let stop = Atomic<Bool>(false)
    let turns = Atomic<Int>(0)
    try concurrently(2) { i in
      if i == 0 {
        let ones = [UInt8](repeating: 1, count: bytes)
        while !stop.load(ordering: .acquiring) {
          if port.write(IOVA(0), ones) == nil {
            turns.add(1, ordering: .relaxed)
          }
        }
        return
      }
      // Where the device writes: ThreadSanitizer knows memory by its address.
      let end = memory.address &+ window.offset &+ UInt64(bytes)
      let mine = UnsafeMutablePointer<UInt64>(bitPattern: UInt(end - 8))
      for turn in 0..<(bytes > 8 ? 100 : 500) {
        _ = errno { () throws(Errno) in
          try domain.map(
            iova: IOVA(0), vaddr: range.lowerBound, size: UInt64(size), permissions: .write,
            memory: space, lockLimit: .max)
        }
        let before = turns.load(ordering: .relaxed)
        for _ in 0..<1000 where turns.load(ordering: .relaxed) == before { sched_yield() }
        _ = errno { () throws(Errno) in try domain.unmap(iova: IOVA(0), size: UInt64(size)) }
        for step in 0..<100 {
          mine?.pointee = UInt64(turn + step)
          if bytes > 8, step % 25 == 0 { usleep(100) }
          if mine?.pointee != UInt64(turn + step) { Issue.record("written after the unmap") }
        }
      }
      stop.store(true, ordering: .releasing)
    }
    #expect(turns.load(ordering: .relaxed) > 0)
    port.detach(from: domain)
  }
}
