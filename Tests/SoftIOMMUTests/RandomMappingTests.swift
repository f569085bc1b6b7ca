import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

/// Random maps, unmaps and transfers against a page table that is plainly right: one entry a page.
/// `SOFTIOMMU_SEED=n` replays one seed.
struct RandomMappingTests {
  private struct Entry: Equatable {
    var vaddr: UInt64
    var permissions: DMAPermissions
  }

  private static let page: UInt64 = 4096
  private static let pages: UInt64 = 40
  private static let vaddr: UInt64 = 0x5000_0000

  /// From 0, and up to the very last address.
  static let bases: [UInt64] = [0, 0 &- pages * page]

  @Test(arguments: bases, Seeds.all(1...12))
  func agreesWithAPageTable(base: UInt64, seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let iommu = SoftIOMMU()
    let port = DomainPort()
    port.attach(to: iommu)
    let memory = MemorySpace()
    memory.mmap(Self.vaddr, pages: Int(Self.pages))
    var model: [UInt64: Entry] = [:]

    for step in 0..<300 {
      let first = UInt64.random(in: 0..<Self.pages, using: &random)
      let count = UInt64.random(in: 1...min(8, Self.pages - first), using: &random)
      let range = first..<(first + count)
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        // Half of the time contiguous with what is around, so that there is something to coalesce.
        let offset = Bool.random(using: &random) ? first : .random(in: 0...32, using: &random)
        let isOnMap = offset + count <= Self.pages
        let permissions = DMAPermissions(rawValue: .random(in: 1...3, using: &random))
        let error = errno { () throws(Errno) in
          try iommu.map(
            iova: IOVA(base + first * Self.page),
            vaddr: ClientAddress(Self.vaddr + offset * Self.page), size: count * Self.page,
            permissions: permissions, memory: memory, lockLimit: .max)
        }
        if range.contains(where: { model[$0] != nil }) {
          #expect(error == .resourceBusy, "seed \(seed), step \(step)")
        } else if !isOnMap {
          #expect(error == .badAddress, "seed \(seed), step \(step)")
        } else {
          #expect(error == nil, "seed \(seed), step \(step)")
          for p in range {
            model[p] = Entry(
              vaddr: Self.vaddr + (offset + p - first) * Self.page, permissions: permissions)
          }
        }
      case 2:
        let mapped = range.count { model[$0] != nil }
        let unmapped = try iommu.unmap(
          iova: IOVA(base + first * Self.page), size: count * Self.page)
        #expect(unmapped == UInt64(mapped) * Self.page, "seed \(seed), step \(step)")
        for p in range { model[p] = nil }
      default:
        try checkTransfer(port, memory, model, base: base, range, &random, "\(seed)/\(step)")
      }
      #expect(memory.locked == UInt64(model.count) * Self.page, "seed \(seed), step \(step)")
      checkTable(iommu, model, base: base, "seed \(seed), step \(step)")
    }
    iommu.tearDown()
    #expect(memory.locked == 0)
  }

  /// The table says of every page what the model says, and holds no two mappings that are one.
  private func checkTable(
    _ iommu: SoftIOMMU, _ model: [UInt64: Entry], base: UInt64, _ place: Comment
  ) {
    var seen: [UInt64: Entry] = [:]
    var runs = 0
    for mapping in iommu.mappings {
      for i in 0..<(mapping.size / Self.page) {
        let p = (mapping.range.lowerBound.rawValue - base) / Self.page + i
        #expect(seen[p] == nil, place)
        seen[p] = Entry(
          vaddr: mapping.vaddr.rawValue + i * Self.page, permissions: mapping.permissions)
      }
    }
    for (p, entry) in model {
      let before = p > 0 ? model[p - 1] : nil
      let goesOn = Entry(vaddr: entry.vaddr - Self.page, permissions: entry.permissions)
      if before != goesOn { runs += 1 }
    }
    #expect(seen == model, place)
    #expect(iommu.mappings.count == runs, place)
  }

  private func checkTransfer(
    _ port: DomainPort, _ memory: MemorySpace, _ model: [UInt64: Entry], base: UInt64,
    _ range: Range<UInt64>, _ random: inout SplitMix64, _ place: Comment
  ) throws {
    // Around page bounds, where mistakes are.
    let start = range.lowerBound * Self.page + .random(in: 0...Self.page - 1, using: &random)
    let limit = Int(Self.pages * Self.page - start)
    let count = min(limit, .random(in: 1...4500, using: &random))
    let isWrite = Bool.random(using: &random)
    let needs: DMAPermissions = isWrite ? .write : .read
    let sent = (0..<count).map { _ in UInt8.random(in: 1...255, using: &random) }

    var expected: [UInt8] = []
    var image: [UInt64: UInt8] = [:]
    var expectedFault: DMAFault?
    for i in 0..<count {
      let at = start + UInt64(i)
      let entry = model[at / Self.page]
      if let entry, entry.permissions.contains(needs) {
        let address = entry.vaddr + at % Self.page
        expected.append(image[address] ?? memory.peek(address) ?? 0)
        if isWrite { image[address] = sent[i] }
      } else {
        expected.append(0)
        let cause: DMAFault.Cause = entry == nil ? .unmapped : .permission
        expectedFault = expectedFault ?? DMAFault(iova: IOVA(base + at), cause: cause)
      }
    }
    let fault: DMAFault?
    if isWrite {
      fault = sent.withUnsafeBytes { port.write(IOVA(base + start), from: $0) }
      for (address, byte) in image { #expect(memory.peek(address) == byte, place) }
    } else {
      var got = [UInt8](repeating: 0xee, count: count)
      fault = got.withUnsafeMutableBytes { port.read(IOVA(base + start), into: $0) }
      #expect(got == expected, place)
    }
    #expect(fault == expectedFault, place)
  }
}
