import TestSupport
import Testing

@testable import SoftIOMMU

/// The tree against a sorted array. `SOFTIOMMU_SEED=n` replays one seed.
struct MappingTreeTests {
  @Test(arguments: Seeds.all(1...6))
  func agreesWithASortedArray(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var tree = MappingTree()
    var model: [TreeEntry] = []
    func place(_ key: UInt64) -> Int { model.firstIndex { $0.last >= key } ?? model.count }
    // Grows, shrinks to nothing, grows again.
    for phase in 0..<4 {
      let growth = phase % 2 == 0 ? 8 : 1
      let pattern = Int.random(in: 0..<3, using: &random)
      for step in 0..<1500 {
        let number: UInt64 =
          switch pattern {
          case 0: .random(in: 0..<1 << 14, using: &random)
          case 1: UInt64(step)
          default: 1 << 14 - UInt64(step)
          }
        let key = number << 4
        let i = place(key)
        if Int.random(in: 0..<10, using: &random) < growth {
          guard i == model.count || model[i].first > key + 8 else { continue }
          let entry = TreeEntry(
            first: key, last: key + 8, vaddr: random.next(), word: random.next())
          tree.insert(entry)
          model.insert(entry, at: i)
        } else if !model.isEmpty {
          tree.remove(first: model.remove(at: min(i, model.count - 1)).first)
        }
        #expect(tree.count == model.count)
        let probe = UInt64.random(in: 0..<1 << 18 + 100, using: &random)
        let at = place(probe)
        #expect(tree.entry(endingAtOrAfter: probe) == (at < model.count ? model[at] : nil))
        let before = model.last { $0.first <= probe }
        #expect(tree.entry(beginningAtOrBefore: probe) == before)
      }
      var next: UInt64 = 0
      for entry in model {
        #expect(tree.entry(endingAtOrAfter: next) == entry)
        next = entry.last + 1
      }
      #expect(tree.entry(endingAtOrAfter: next) == nil)
    }
  }

  @Test func takesAtMost64BytesAMapping() {
    for pattern in 0..<3 {
      var tree = MappingTree()
      var random = SplitMix64(seed: 1)
      var keys = (0..<20_000).map { UInt64($0) << 13 }
      if pattern == 1 { keys.reverse() }
      if pattern == 2 { keys.shuffle(using: &random) }
      for key in keys {
        tree.insert(TreeEntry(first: key, last: key + 4095, vaddr: 0, word: 0))
      }
      #expect(tree.footprint <= 64 * keys.count)
    }
  }
}
