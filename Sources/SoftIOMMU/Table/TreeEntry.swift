/// What the tree holds of a mapping: 32 bytes.
struct TreeEntry: Equatable {
  /// First and last IOVA.
  var first: UInt64
  var last: UInt64
  var vaddr: UInt64
  /// The number of its `Backing`, and flags.
  var word: UInt64

  var number: Int { Int(word >> 8) }

  func continues(into next: TreeEntry) -> Bool {
    last < .max && last + 1 == next.first && word == next.word
      && vaddr &+ (last - first) &+ 1 == next.vaddr
  }

  /// The part from `iova` on, which is inside.
  func from(_ iova: UInt64) -> TreeEntry {
    TreeEntry(first: iova, last: last, vaddr: vaddr &+ (iova - first), word: word)
  }
}
