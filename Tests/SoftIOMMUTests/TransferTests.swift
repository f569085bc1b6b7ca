import ClientAccess
import DeviceKit
import Dispatch
import Glibc
import SystemPackage
import TestSupport
import Testing

struct TransferTests {
  @Test func movesBytesAcrossMappings() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x2000, vaddr + 8 * page)
    let bytes = (0..<200).map { UInt8($0) }
    #expect(f.write(0x1f9c, bytes) == nil)
    #expect(f.memory.peek(vaddr + page - 100, count: 100) == bytes[..<100].map { $0 })
    #expect(f.memory.peek(vaddr + 8 * page, count: 100) == bytes[100...].map { $0 })
    let (back, fault) = f.read(0x1f9c, 200)
    #expect(back == bytes)
    #expect(fault == nil)
  }

  @Test func unmappedReadsZerosAndSwallowsWrites() throws {
    let f = Fixture()
    try f.map(0x1000)
    f.memory.poke(vaddr, [UInt8](repeating: 0xaa, count: Int(page)))
    let (bytes, fault) = f.read(0xffe, 4)
    #expect(bytes == [0, 0, 0xaa, 0xaa])
    #expect(fault == DMAFault(iova: IOVA(0xffe), cause: .unmapped))
    let (tail, tailFault) = f.read(0x1ffe, 4)
    #expect(tail == [0xaa, 0xaa, 0, 0])
    #expect(tailFault == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
    #expect(f.write(0x1ffe, [1, 2, 3, 4]) == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
    #expect(f.memory.peek(vaddr + page - 2, count: 2) == [1, 2])
    #expect(f.memory.peek(vaddr + page) == 0)
  }

  @Test func permissionsHoldByDirection() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr, .read)
    try f.map(0x3000, vaddr + page, .write)
    f.memory.poke(vaddr, [7])
    f.memory.poke(vaddr + page, [9])
    #expect(f.read(0x1000, 1).0 == [7])
    #expect(f.write(0x1000, [1]) == DMAFault(iova: IOVA(0x1000), cause: .permission))
    #expect(f.memory.peek(vaddr) == 7)
    let (bytes, fault) = f.read(0x3000, 1)
    #expect(bytes == [0])
    #expect(fault == DMAFault(iova: IOVA(0x3000), cause: .permission))
    #expect(f.write(0x3000, [1]) == nil)
    #expect(f.memory.peek(vaddr + page) == 1)
  }

  @Test func theFirstFaultIsReported() throws {
    let f = Fixture()
    try f.map(0x1000, vaddr)
    try f.map(0x3000, vaddr + page, .write)
    let (_, fault) = f.read(0x1000, 4 * Int(page))
    #expect(fault == DMAFault(iova: IOVA(0x2000), cause: .unmapped))
  }

  @Test func goneMemoryFaultsPageByPage() throws {
    let f = Fixture(pages: 4)
    try f.map(0x1000, pages: 4)
    f.memory.munmap(vaddr + page, pages: 1)
    let bytes = [UInt8](repeating: 0x77, count: 3 * Int(page))
    #expect(f.write(0x1800, bytes) == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(f.memory.peek(vaddr + page - 1) == 0x77)
    #expect(f.memory.peek(vaddr + 2 * page) == 0x77)
    #expect(f.memory.peek(vaddr + 3 * page) == 0x77)
    let (back, fault) = f.read(0x1800, 3 * Int(page))
    #expect(fault == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(back[0x7ff] == 0x77 && back[0x800] == 0 && back[0x17ff] == 0 && back[0x1800] == 0x77)
  }

  @Test func transfersEndAtTheTop() throws {
    let f = Fixture()
    try f.map(0)
    try f.map(UInt64.max - page + 1, vaddr + page)
    f.memory.poke(vaddr, [1, 1])
    f.memory.poke(vaddr + 2 * page - 2, [2, 2])
    let (bytes, fault) = f.read(.max - 1, 4)
    #expect(bytes == [2, 2, 0, 0])
    #expect(fault == DMAFault(iova: IOVA(0), cause: .unmapped))
  }

  @Test func nothingToMoveIsNoFault() {
    let f = Fixture()
    #expect(f.read(0x1000, 0).1 == nil)
    #expect(f.write(0x1000, []) == nil)
    // An empty transfer leaves nothing in flight to wait for.
    f.iommu.tearDown()
  }

  /// The hook runs in the middle of a transfer: it looks the table up, which would hang with the table
  /// locked, and lets an unmap go as far as it can, which must not be all the way.
  @Test func unmapWaitsForTransfersUnderWay() throws {
    let f = Fixture()
    try f.map(0x1000)
    let order = Log()
    let unmapped = DispatchSemaphore(value: 0)
    f.memory.onCopy {
      f.memory.onCopy(nil)
      beside {
        _ = errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(0x1000), size: page) }
        order.add("unmapped")
        unmapped.signal()
      }
      while !f.iommu.mappings.isEmpty { sched_yield() }
      for _ in 0..<1000 { sched_yield() }
      order.add("moved")
    }
    #expect(f.write(0x1000, [1, 2, 3]) == nil)
    unmapped.wait()
    #expect(order.entries == ["moved", "unmapped"])
    #expect(f.memory.peek(vaddr, count: 3) == [1, 2, 3])
    #expect(f.write(0x1000, [9])?.cause == .unmapped)
  }

  @Test func unmapDoesNotWaitForTransfersElsewhere() throws {
    let f = Fixture()
    try f.map(0x1000)
    try f.map(0x8000, vaddr + 4 * page)
    f.memory.onCopy {
      f.memory.onCopy(nil)
      // On the transfer's own thread: it would never return if it waited.
      #expect(
        errno { () throws(Errno) in try f.iommu.unmap(iova: IOVA(0x8000), size: page) } == nil)
    }
    #expect(f.write(0x1000, [1]) == nil)
    #expect(f.ranges == [[0x1000, 0x1fff]])
  }
}
