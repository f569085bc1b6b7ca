/// Mappings by their IOVA, none overlapping another: a B+ tree.
///
/// A look-up touches some cache lines a level and, of the leaf, those of the keys that it compares and of the
/// one entry that it finds; a million entries make four levels. Nodes are blocks of 64-bit words:
///
///     leaf    count, start, next leaf, leaf before, 31 first IOVAs, 31 × (last IOVA, vaddr, word)
///     branch  count of children, 0, -, -, a bound for each of 62 children, 62 children
///
/// A leaf's entries begin at slot `start`, so that what leaves it at either end moves none of the others.
///
/// All keys under a child are at or above its bound and below the next child's; the first child has
/// none, which is 0. A bound stays when its entry goes, so that most changes touch one leaf.
///
/// A new key at either end of a full leaf gets a leaf of its own, so that runs fill their leaves. A leaf
/// or branch that gets small becomes one with a neighbour where both fit into it.
struct MappingTree: ~Copyable {
  fileprivate typealias Node = UnsafeMutablePointer<UInt64>

  /// A leaf, and where a key is in it, or would go: good until the tree changes.
  struct Place {
    fileprivate var leaf: Node
    fileprivate var index: Int
  }

  /// The leaf of the last `place`, and which keys lead to it: the next one is mostly in the same.
  private struct Finger {
    var leaf: Node?
    var first: UInt64 = 0
    var last: UInt64 = 0
  }

  private static let leafCapacity = 31
  private static let branchCapacity = 62
  /// Words of a node's head.
  private static let start = 1
  private static let next = 2
  private static let before = 3
  private static let keys = 4
  private static let payloads = keys + leafCapacity
  private static let children = keys + branchCapacity
  private static let nodeWords = keys + 4 * leafCapacity
  /// Below this a node is small.
  private static let fewest = leafCapacity / 3

  private(set) var count = 0
  /// Bytes of all nodes.
  var footprint: Int { nodes * Self.nodeWords * 8 }

  private var root: Node
  /// Branch levels above the leaves.
  private var height = 0
  private var nodes = 0
  /// Apart, for it changes when the tree does not.
  private let finger: UnsafeMutablePointer<Finger>

  init() {
    root = Self.allocate()
    nodes = 1
    finger = .allocate(capacity: 1)
    finger.initialize(to: Finger())
  }

  deinit {
    Self.free(root, height)
    finger.deallocate()
  }

  // MARK: - Looking up

  /// The first entry that ends at or after `iova`. Any number of threads may ask.
  @inline(__always)
  borrowing func entry(endingAtOrAfter iova: UInt64) -> TreeEntry? {
    var node = root
    for _ in 0..<height { node = Self.child(node, max(Self.upperBound(node, iova) - 1, 0)) }
    return entry(endingAtOrAfter: iova, from: Place(leaf: node, index: Self.upperBound(node, iova)))
  }

  /// The last entry that begins at or before `iova`.
  borrowing func entry(beginningAtOrBefore iova: UInt64) -> TreeEntry? {
    var node = root
    for _ in 0..<height { node = Self.child(node, max(Self.upperBound(node, iova) - 1, 0)) }
    return entry(before: Place(leaf: node, index: Self.upperBound(node, iova)))
  }

  /// Behind all entries that begin at or before `iova`. One thread at a time.
  borrowing func place(behind iova: UInt64) -> Place {
    if let leaf = finger.pointee.leaf, finger.pointee.first <= iova, iova <= finger.pointee.last {
      return Place(leaf: leaf, index: Self.upperBound(leaf, iova))
    }
    var (node, first, last) = (root, UInt64.min, UInt64.max)
    for _ in 0..<height {
      let i = max(Self.upperBound(node, iova) - 1, 0)
      if i > 0 { first = node[Self.keys + i] }
      if i + 1 < Int(node[0]) { last = node[Self.keys + i + 1] - 1 }
      node = Self.child(node, i)
    }
    finger.pointee = Finger(leaf: node, first: first, last: last)
    return Place(leaf: node, index: Self.upperBound(node, iova))
  }

  @inline(__always)
  borrowing func entry(before place: Place) -> TreeEntry? {
    if place.index > 0 { return Self.entry(place.leaf, place.index - 1) }
    guard let leaf = Self.node(place.leaf[Self.before]) else { return nil }
    return Self.entry(leaf, Int(leaf[0]) - 1)
  }

  @inline(__always)
  borrowing func entry(after place: Place) -> TreeEntry? {
    if place.index < Int(place.leaf[0]) { return Self.entry(place.leaf, place.index) }
    guard let leaf = Self.node(place.leaf[Self.next]) else { return nil }
    return Self.entry(leaf, 0)
  }

  /// The first entry that ends at or after `iova`, behind which `place` is.
  @inline(__always)
  borrowing func entry(endingAtOrAfter iova: UInt64, from place: Place) -> TreeEntry? {
    if let entry = entry(before: place), entry.last >= iova { return entry }
    return entry(after: place)
  }

  // MARK: - Changing

  /// Adds an entry that overlaps none.
  mutating func insert(_ entry: TreeEntry) {
    insert(entry, at: place(behind: entry.first))
  }

  /// Adds an entry that overlaps none behind those that begin before it.
  mutating func insert(_ entry: TreeEntry, at place: Place) {
    count += 1
    if Self.insert(entry, place.index, into: place.leaf) { return }
    finger.pointee.leaf = nil
    guard let (key, right) = insert(entry, into: root, height) else { return }
    let top = allocate()
    top[0] = 2
    top[Self.keys] = 0
    top[Self.keys + 1] = key
    top[Self.children] = Self.word(root)
    top[Self.children + 1] = Self.word(right)
    root = top
    height += 1
  }

  /// Takes the entry out that begins at `first`, which is there.
  mutating func remove(first: UInt64) {
    remove(first: first, near: place(behind: first))
  }

  /// The same; `place` is where it may be, right before it.
  mutating func remove(first: UInt64, near place: Place) {
    var place = place
    if place.index == 0 || Self.key(place.leaf, place.index - 1) != first {
      place = self.place(behind: first)
    }
    count -= 1
    let left = Int(place.leaf[0]) - 1
    // A small node looks for a neighbour now and then.
    if height == 0 || left >= Self.fewest || left & (left - 1) != 0 {
      return Self.remove(place.index - 1, from: place.leaf)
    }
    finger.pointee.leaf = nil
    remove(first, from: root, height)
    while height > 0, root[0] <= 1 {
      let old = root
      root = old[0] == 1 ? Self.child(old, 0) : allocate()
      height = old[0] == 1 ? height - 1 : 0
      release(old)
    }
  }

  /// Puts an entry in the place of the one that begins where it does.
  mutating func replace(_ entry: TreeEntry) {
    let place = place(behind: entry.first)
    Self.set(place.leaf, place.index - 1, entry)
  }

  private mutating func insert(
    _ entry: TreeEntry, into node: Node, _ level: Int
  ) -> (key: UInt64, node: Node)? {
    let i = Self.upperBound(node, entry.first)
    if level == 0 { return insertIntoLeaf(entry, node, i) }
    let at = max(i - 1, 0)
    guard let (key, right) = insert(entry, into: Self.child(node, at), level - 1) else {
      return nil
    }
    return insertIntoBranch(key, right, node, at + 1)
  }

  private mutating func insertIntoLeaf(
    _ entry: TreeEntry, _ leaf: Node, _ i: Int
  ) -> (key: UInt64, node: Node)? {
    if Self.insert(entry, i, into: leaf) { return nil }
    let n = Self.leafCapacity
    let right = allocate()
    Self.link(right, Self.node(leaf[Self.next]))
    Self.link(leaf, right)
    // At the end the new entry goes alone to the right; at the beginning all others do.
    let split = i == n ? n : i == 0 ? 0 : n / 2
    Self.moveEntries(leaf, split, n - split, to: right, 0)
    leaf[0] = UInt64(split)
    right[0] = UInt64(n - split)
    let goesLeft = split == 0 || (i <= split && i != n)
    _ = Self.insert(entry, goesLeft ? i : i - split, into: goesLeft ? leaf : right)
    return (Self.key(right, 0), right)
  }

  private mutating func insertIntoBranch(
    _ key: UInt64, _ child: Node, _ branch: Node, _ i: Int
  ) -> (key: UInt64, node: Node)? {
    let n = Int(branch[0])
    if n < Self.branchCapacity {
      Self.moveChildren(branch, i, n - i, to: branch, i + 1)
      branch[Self.keys + i] = key
      branch[Self.children + i] = Self.word(child)
      branch[0] = UInt64(n + 1)
      return nil
    }
    let right = allocate()
    let split = i == n ? n - 1 : n / 2
    Self.moveChildren(branch, split, n - split, to: right, 0)
    branch[0] = UInt64(split)
    right[0] = UInt64(n - split)
    let goesLeft = i <= split && split < n - 1
    _ = insertIntoBranch(key, child, goesLeft ? branch : right, goesLeft ? i : i - split)
    defer { right[Self.keys] = 0 }
    return (right[Self.keys], right)
  }

  private mutating func remove(_ first: UInt64, from node: Node, _ level: Int) {
    if level == 0 { return Self.remove(Self.upperBound(node, first) - 1, from: node) }
    let i = max(Self.upperBound(node, first) - 1, 0)
    let child = Self.child(node, i)
    remove(first, from: child, level - 1)
    if child[0] == 0 {
      if level == 1 { Self.unlink(child) }
      drop(i, of: node)
    } else if child[0] < UInt64(Self.fewest) {
      if !join(node, i, level - 1) { _ = join(node, i - 1, level - 1) }
    }
  }

  /// Makes the children `i` and `i + 1` one, where there are both and they fit.
  private mutating func join(_ branch: Node, _ i: Int, _ level: Int) -> Bool {
    guard i >= 0, i + 1 < Int(branch[0]) else { return false }
    let (left, right) = (Self.child(branch, i), Self.child(branch, i + 1))
    let (a, b) = (Int(left[0]), Int(right[0]))
    guard a + b <= (level == 0 ? Self.leafCapacity : Self.branchCapacity) else { return false }
    if level == 0 {
      Self.moveEntries(left, Int(left[Self.start]), a, to: left, 0)
      left[Self.start] = 0
      Self.moveEntries(right, Int(right[Self.start]), b, to: left, a)
      Self.unlink(right)
    } else {
      right[Self.keys] = branch[Self.keys + i + 1]
      Self.moveChildren(right, 0, b, to: left, a)
    }
    left[0] = UInt64(a + b)
    drop(i + 1, of: branch)
    return true
  }

  /// Frees a child, with nothing in it by now.
  private mutating func drop(_ i: Int, of branch: Node) {
    release(Self.child(branch, i))
    let n = Int(branch[0])
    Self.moveChildren(branch, i + 1, n - i - 1, to: branch, i)
    branch[0] = UInt64(n - 1)
    branch[Self.keys] = 0
  }

  // MARK: - Nodes

  // SAFETY: for all below: a node has `nodeWords` words, of which every index is inside: counts are within the
  // capacities, and the callers' indexes within the counts. A child's word is the address of a node that
  // nothing else owns; it is freed when it leaves the tree, or with it. A leaf's neighbours are in the same tree.

  /// How many keys are at most `key`.
  @inline(__always)
  private static func upperBound(_ node: Node, _ key: UInt64) -> Int {
    let first = keys + Int(node[start])
    var base = first
    var n = Int(node[0])
    while n > 1 {
      let half = n / 2
      base = node[base + half - 1] <= key ? base + half : base
      n -= half
    }
    return base - first + (n == 1 && node[base] <= key ? 1 : 0)
  }

  @inline(__always)
  private static func child(_ branch: Node, _ i: Int) -> Node {
    Node(bitPattern: UInt(branch[children + i])).unsafelyUnwrapped
  }

  private static func word(_ node: Node) -> UInt64 { UInt64(UInt(bitPattern: node)) }

  /// A leaf's neighbour.
  @inline(__always)
  private static func node(_ word: UInt64) -> Node? { Node(bitPattern: UInt(word)) }

  private static func link(_ left: Node?, _ right: Node?) {
    left?[next] = right.map { word($0) } ?? 0
    right?[before] = left.map { word($0) } ?? 0
  }

  private static func unlink(_ leaf: Node) {
    link(node(leaf[before]), node(leaf[next]))
  }

  /// Moves the side that has fewer.
  ///
  /// - Returns: false where the leaf is full.
  @inline(__always)
  private static func insert(_ entry: TreeEntry, _ i: Int, into leaf: Node) -> Bool {
    let (n, first) = (Int(leaf[0]), Int(leaf[start]))
    if n == leafCapacity { return false }
    if first > 0, i < n - i || first + n == leafCapacity {
      moveEntries(leaf, first, i, to: leaf, first - 1)
      leaf[start] = UInt64(first - 1)
    } else {
      moveEntries(leaf, first + i, n - i, to: leaf, first + i + 1)
    }
    leaf[0] = UInt64(n + 1)
    set(leaf, i, entry)
    return true
  }

  @inline(__always)
  private static func remove(_ i: Int, from leaf: Node) {
    let (n, first) = (Int(leaf[0]), Int(leaf[start]))
    if i < n - 1 - i {
      moveEntries(leaf, first, i, to: leaf, first + 1)
      leaf[start] = UInt64(first + 1)
    } else {
      moveEntries(leaf, first + i + 1, n - i - 1, to: leaf, first + i)
    }
    leaf[0] = UInt64(n - 1)
  }

  /// The first IOVA of the entry `i` of a leaf.
  @inline(__always)
  private static func key(_ leaf: Node, _ i: Int) -> UInt64 { leaf[keys + Int(leaf[start]) + i] }

  @inline(__always)
  private static func entry(_ leaf: Node, _ i: Int) -> TreeEntry {
    let slot = Int(leaf[start]) + i
    let payload = leaf + payloads + 3 * slot
    return TreeEntry(
      first: leaf[keys + slot], last: payload[0], vaddr: payload[1], word: payload[2])
  }

  @inline(__always)
  private static func set(_ leaf: Node, _ i: Int, _ entry: TreeEntry) {
    let slot = Int(leaf[start]) + i
    leaf[keys + slot] = entry.first
    let payload = leaf + payloads + 3 * slot
    payload[0] = entry.last
    payload[1] = entry.vaddr
    payload[2] = entry.word
  }

  /// From slot to slot; nothing where `n` is 0.
  @inline(__always)
  private static func moveEntries(_ from: Node, _ i: Int, _ n: Int, to: Node, _ at: Int) {
    if n == 0 { return }
    (to + keys + at).update(from: from + keys + i, count: n)
    (to + payloads + 3 * at).update(from: from + payloads + 3 * i, count: 3 * n)
  }

  private static func moveChildren(_ from: Node, _ i: Int, _ n: Int, to: Node, _ at: Int) {
    (to + keys + at).update(from: from + keys + i, count: n)
    (to + children + at).update(from: from + children + i, count: n)
  }

  private mutating func allocate() -> Node {
    nodes += 1
    return Self.allocate()
  }

  private mutating func release(_ node: Node) {
    nodes -= 1
    node.deallocate()
  }

  private static func allocate() -> Node {
    let node = Node.allocate(capacity: nodeWords)
    node.initialize(repeating: 0, count: keys)
    return node
  }

  private static func free(_ node: Node, _ level: Int) {
    if level > 0 {
      for i in 0..<Int(node[0]) { free(child(node, i), level - 1) }
    }
    node.deallocate()
  }
}
