import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport
import Testing

/// Random maps and unmaps by today's rules, against a list of mappings for each page.
struct RandomType1Tests {
  private struct Mapped: Equatable {
    var first: UInt64
    var pages: UInt64
    var end: UInt64 { first + pages }
  }

  @Test(arguments: [MappingRules.type1, .type1v2], Seeds.all(1...8))
  func agreesWithAList(rules: MappingRules, seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let space: UInt64 = 600
    let f = Fixture(pages: 16, iommu: SoftIOMMU(rules: rules))
    var model: [Mapped] = []
    for step in 0..<2000 {
      let first = UInt64.random(in: 0..<space, using: &random)
      let pages = UInt64.random(in: 1...(step % 3 == 0 ? 16 : 3), using: &random)
      let place: Comment = "seed \(seed), step \(step)"
      let hit = model.filter { $0.first < first + pages && $0.end > first }
      if Int.random(in: 0..<3, using: &random) > 0 {
        let error = errno { () throws(Errno) in try f.map(first * page, vaddr, pages: pages) }
        #expect(error == (hit.isEmpty ? nil : .fileExists), place)
        if hit.isEmpty { model.append(Mapped(first: first, pages: pages)) }
      } else {
        var unmapped: UInt64?
        let error = errno { () throws(Errno) in
          unmapped = try f.iommu.unmap(iova: IOVA(first * page), size: pages * page)
        }
        let isCut = hit.contains { $0.first < first || $0.end > first + pages }
        var gone = hit
        if rules == .type1, hit.contains(where: { $0.first < first }) { gone = [] }
        if rules == .type1v2, isCut {
          #expect(error == .invalidArgument && unmapped == nil, place)
          gone = []
        } else {
          #expect(unmapped == gone.reduce(0) { $0 + $1.pages } * page, place)
        }
        model.removeAll { gone.contains($0) }
      }
      #expect(f.iommu.availableMappings == 65535 - model.count, place)
      if step % 50 == 0 {
        #expect(
          f.ranges
            == model.sorted { $0.first < $1.first }.map { [$0.first * page, $0.end * page - 1] },
          place)
        #expect(f.memory.locked == model.reduce(0) { $0 + $1.pages } * page, place)
      }
    }
    f.iommu.tearDown()
    #expect(f.memory.locked == 0)
  }
}
