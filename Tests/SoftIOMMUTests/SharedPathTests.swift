import CLinux
import ClientAccess
import DeviceKit
import Glibc
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

/// DMA to memory of this process, by the shared path and by the copy path.
struct SharedPathTests {
  private let domain = SoftIOMMU(rules: .type1v2)
  private let port = DomainPort()

  private func map(
    _ memory: TestMemory, iova: UInt64 = 0, _ permissions: DMAPermissions = [.read, .write]
  ) throws {
    port.attach(to: domain)
    try domain.map(
      iova: IOVA(iova), vaddr: ClientAddress(memory.address), size: UInt64(memory.size),
      permissions: permissions, memory: ownAddressSpace(), lockLimit: .max)
  }

  private var isShared: Bool {
    do {
      _ = try port.atomic(.fetchAdd, IOVA(0), width: 4, operand: 0)
      return true
    } catch {
      return false
    }
  }

  @Test(arguments: [true, false])
  func movesTheSameBytesEitherWay(shared: Bool) throws {
    let memory = try TestFile(pages: 40).map(isShared: shared)
    try map(memory)
    #expect(isShared == shared)
    for (offset, count) in [(0, 1), (6, 4), (8, 8), (4095, 2), (100, 9000), (0, 40 * 4096)] {
      let sent = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + offset + 1) }
      #expect(port.write(IOVA(UInt64(offset)), sent) == nil)
      #expect((0..<count).allSatisfy { memory[offset + $0] == sent[$0] })
      let (bytes, fault) = port.read(IOVA(UInt64(offset)), count: count)
      #expect(fault == nil)
      #expect(bytes == sent)
    }
  }

  @Test(.enabled(if: HugePages.areThere, "takes root and huge pages (/proc/sys/vm/nr_hugepages)"))
  func hugePages() throws {
    let memory = try #require(HugePages.map(pages: 2))
    try map(memory)
    #expect(isShared)
    let sent = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    #expect(port.write(IOVA(4096), sent) == nil)
    #expect(memory[4096 + 1] == 31 && memory[4096 + (3 << 20) - 1] == sent[(3 << 20) - 1])
    #expect(port.read(IOVA(4096), count: sent.count).bytes == sent)
  }

  @Test func aFileThatShrinksHarmsNobody() throws {
    let file = try TestFile(pages: 4)
    let memory = try file.map()
    try map(memory)
    domain.startDirtyTracking()
    file.truncate(pages: 2)
    let bytes = [UInt8](repeating: 9, count: 3 * 4096)
    #expect(port.write(IOVA(0), bytes) == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(memory[0] == 9 && memory[0x1fff] == 9)
    let (back, fault) = port.read(IOVA(0x1ff0), count: 32)
    #expect(fault == DMAFault(iova: IOVA(0x2000), cause: .memoryGone))
    #expect(back == [UInt8](repeating: 9, count: 16) + [UInt8](repeating: 0, count: 16))
    let error = #expect(throws: DMAFault.self) {
      try port.atomic(.swap, IOVA(0x3000), width: 8, operand: 1)
    }
    #expect(error == DMAFault(iova: IOVA(0x3000), cause: .memoryGone))
    var words: [UInt64] = []
    try domain.takeDirtyBitmap(iova: IOVA(0), size: 4 * 4096) { _, bytes in
      words += bytes.bindMemory(to: UInt64.self)
    }
    #expect(words == [0b11])
  }

  @Test func whatEndsBeforeItsMappingIsEFAULT() throws {
    let file = try TestFile(pages: 4)
    let memory = try file.map()
    file.truncate(pages: 1)
    #expect(throws: Errno.badAddress) { try map(memory) }
    let extent = try ownAddressSpace().mapped(
      ClientAddress(memory.address)..<ClientAddress(memory.address + 4 * 4096), writable: true)
    #expect(extent.end == ClientAddress(memory.address + 4096))
  }

  @Test func aRemapIsNoticed() throws {
    let memory = try TestFile(pages: 2).map()
    try map(memory)
    #expect(isShared)
    let other = mmap(
      UnsafeMutableRawPointer(bitPattern: UInt(memory.address)), memory.size,
      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    try #require(other != MAP_FAILED)
    // Until it is, accesses reach the old pages, as hardware's would.
    for _ in 0..<10_000 where isShared { usleep(1000) }
    #expect(!isShared)
    #expect(port.write(IOVA(0), [5]) == nil)
    #expect(memory[0] == 5)
  }

  @Test func atomics() throws {
    let memory = try TestFile(pages: 1).map()
    try map(memory)
    #expect(port.write(IOVA(8), [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]) == nil)
    #expect(try port.atomic(.fetchAdd, IOVA(12), width: 4, operand: 2) == 0xffff_ffff)
    #expect(try port.atomic(.fetchAdd, IOVA(8), width: 8, operand: 1) == 0x1_0000_0001)
    #expect(try port.atomic(.swap, IOVA(8), width: 4, operand: 7) == 2)
    #expect(try port.atomic(.compareSwap(expected: 6), IOVA(8), width: 4, operand: 9) == 7)
    #expect(try port.atomic(.compareSwap(expected: 7), IOVA(8), width: 4, operand: 9) == 7)
    #expect(port.read(IOVA(8), count: 8).bytes == [9, 0, 0, 0, 1, 0, 0, 0])
  }

  @Test(arguments: [
    (2, 4, DMAFault.Cause.noAtomics), (4, 8, .noAtomics), (0, 2, .noAtomics),
    (0x9000, 4, .unmapped),
  ])
  func atomicsThatAreNone(iova: UInt64, width: Int, cause: DMAFault.Cause) throws {
    let memory = try TestFile(pages: 1).map()
    try map(memory)
    let error = #expect(throws: DMAFault.self) {
      try port.atomic(.swap, IOVA(iova), width: width, operand: 1)
    }
    #expect(error == DMAFault(iova: IOVA(iova), cause: cause))
  }

  @Test func atomicsNeedBothRights() throws {
    let memory = try TestFile(pages: 1).map()
    try map(memory, .write)
    let error = #expect(throws: DMAFault.self) {
      try port.atomic(.swap, IOVA(0), width: 4, operand: 1)
    }
    #expect(error?.cause == .permission)
  }

  @Test(arguments: [true, false])
  func scatterAndGather(shared: Bool) throws {
    // More pieces than one system call takes, half of them from a page that is not mapped.
    let pieces = 2500
    let memory = try TestFile(pages: 4).map(isShared: shared)
    try map(memory)
    var bytes = (0..<pieces * 4).map { UInt8(truncatingIfNeeded: $0 &* 31 + 5) }
    let sent = bytes
    let fault = bytes.withUnsafeMutableBytes { buffer in
      (0..<pieces).map { i in
        DMASegment(
          iova: IOVA(UInt64((pieces - 1 - i) * 4 + (i % 2 == 0 ? 0 : 0x10000))),
          buffer: UnsafeMutableRawBufferPointer(rebasing: buffer[(i * 4)..<(i * 4 + 4)]))
      }.withUnsafeBufferPointer { port.write($0) }
    }
    #expect(fault == DMAFault(iova: IOVA(UInt64((pieces - 2) * 4 + 0x10000)), cause: .unmapped))
    for i in stride(from: 0, to: pieces, by: 2) {
      let at = (pieces - 1 - i) * 4
      #expect((0..<4).allSatisfy { memory[at + $0] == sent[i * 4 + $0] })
    }
  }

  @Test func gatherGoesOnBehindAHole() throws {
    let memory = try TestFile(pages: 4).map(isShared: false)
    try map(memory)
    memory.pointer.update(repeating: 3, count: memory.size)
    munmap(memory.pointer + 4096, 4096)
    var bytes = [UInt8](repeating: 0xee, count: 3 * 4096)
    let fault = bytes.withUnsafeMutableBytes { buffer in
      [(0, 100), (0xf80, 0x1100), (0x2100, 64), (0x1400, 8)].map { iova, count in
        DMASegment(
          iova: IOVA(UInt64(iova)),
          buffer: UnsafeMutableRawBufferPointer(rebasing: buffer[iova..<(iova + count)]))
      }.withUnsafeBufferPointer { port.read($0) }
    }
    #expect(fault == DMAFault(iova: IOVA(0x1000), cause: .memoryGone))
    #expect(bytes[0] == 3 && bytes[0xfff] == 3 && bytes[0x1000] == 0 && bytes[0x1fff] == 0)
    #expect(bytes[0x2000] == 3 && bytes[0x207f] == 3 && bytes[0x2110] == 3 && bytes[0x1400] == 0)
  }
}
