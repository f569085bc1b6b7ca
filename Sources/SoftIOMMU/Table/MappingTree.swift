/// What the tree holds of a mapping: 32 bytes.
struct TreeEntry: Equatable {
  /// First and last IOVA.
  var first: UInt64
  var last: UInt64
  var vaddr: UInt64
  /// The number of its `Backing`, and flags.
  var word: UInt64
}

/// Mappings by their IOVA, none overlapping another: a B+ tree.
///
/// A look-up touches some cache lines a level and, of the leaf, those of the keys that it compares and of the
/// one entry that it finds; a million entries make four levels. Nodes are blocks of 64-bit words:
///
///     leaf    count, next leaf, 31 first IOVAs, 31 × (last IOVA, vaddr, word)
///     branch  count of children, -, the least key under each of 62 children, 62 children
///
/// A new key at either end of a full leaf gets a leaf of its own, so that runs fill their leaves.
struct MappingTree: ~Copyable {
  private typealias Node = UnsafeMutablePointer<UInt64>

  private static let leafCapacity = 31
  private static let branchCapacity = 62
  private static let keys = 2
  private static let payloads = keys + leafCapacity
  private static let children = keys + branchCapacity
  private static let nodeWords = 2 + 4 * leafCapacity
  /// No node but the root has fewer entries after something was taken out.
  private static let fewest = leafCapacity / 3

  private(set) var count = 0
  /// Bytes of all nodes.
  var footprint: Int { nodes * Self.nodeWords * 8 }

  private var root: Node
  /// Branch levels above the leaves.
  private var height = 0
  private var nodes = 0

  init() {
    root = Self.allocate()
    nodes = 1
  }

  deinit {
    Self.free(root, height)
  }

  // MARK: - Looking up

  /// The first entry that ends at or after `iova`.
  @inline(__always)
  borrowing func entry(endingAtOrAfter iova: UInt64) -> TreeEntry? {
    var node = root
    for _ in 0..<height {
      let i = Self.upperBound(node, iova)
      node = Self.child(node, max(i - 1, 0))
    }
    let i = Self.upperBound(node, iova)
    if i > 0 {
      let entry = Self.entry(node, i - 1)
      if entry.last >= iova { return entry }
    }
    if i < Int(node[0]) { return Self.entry(node, i) }
    // SAFETY: 0, or the address of the leaf to the right, which lives as long as this one.
    guard let next = Node(bitPattern: UInt(node[1])) else { return nil }
    return Self.entry(next, 0)
  }

  /// The last entry that begins at or before `iova`.
  borrowing func entry(beginningAtOrBefore iova: UInt64) -> TreeEntry? {
    var node = root
    for _ in 0..<height {
      node = Self.child(node, max(Self.upperBound(node, iova) - 1, 0))
    }
    let i = Self.upperBound(node, iova)
    return i > 0 ? Self.entry(node, i - 1) : nil
  }

  // MARK: - Changing

  /// Adds an entry that overlaps none.
  mutating func insert(_ entry: TreeEntry) {
    count += 1
    guard let (key, right) = insert(entry, into: root, height) else { return }
    let top = allocate()
    top[0] = 2
    top[Self.keys] = Self.leastKey(root)
    top[Self.keys + 1] = key
    top[Self.children] = Self.word(root)
    top[Self.children + 1] = Self.word(right)
    root = top
    height += 1
  }

  /// Takes the entry out that begins at `first`, which is there.
  mutating func remove(first: UInt64) {
    count -= 1
    remove(first, from: root, height)
    while height > 0, root[0] == 1 {
      let old = root
      root = Self.child(old, 0)
      height -= 1
      release(old)
    }
  }

  /// Puts an entry in the place of the one that begins where it does.
  mutating func replace(_ entry: TreeEntry) {
    var node = root
    for _ in 0..<height { node = Self.child(node, max(Self.upperBound(node, entry.first) - 1, 0)) }
    Self.set(node, Self.upperBound(node, entry.first) - 1, entry)
  }

  private mutating func insert(
    _ entry: TreeEntry, into node: Node, _ level: Int
  ) -> (key: UInt64, node: Node)? {
    let i = Self.upperBound(node, entry.first)
    if level == 0 { return insertIntoLeaf(entry, node, i) }
    let at = max(i - 1, 0)
    if i == 0 { node[Self.keys] = entry.first }
    guard let (key, right) = insert(entry, into: Self.child(node, at), level - 1) else {
      return nil
    }
    // What came out of a new first key is a leaf to the right with the greater keys, as always.
    return insertIntoBranch(key, right, node, at + 1)
  }

  private mutating func insertIntoLeaf(
    _ entry: TreeEntry, _ leaf: Node, _ i: Int
  ) -> (key: UInt64, node: Node)? {
    let n = Int(leaf[0])
    if n < Self.leafCapacity {
      Self.moveEntries(leaf, i, n - i, to: leaf, i + 1)
      Self.set(leaf, i, entry)
      leaf[0] = UInt64(n + 1)
      return nil
    }
    let right = allocate()
    right[1] = leaf[1]
    leaf[1] = Self.word(right)
    // At the end the new entry goes alone to the right; at the beginning all others do.
    let split = i == n ? n : i == 0 ? 0 : n / 2
    Self.moveEntries(leaf, split, n - split, to: right, 0)
    leaf[0] = UInt64(split)
    right[0] = UInt64(n - split)
    let goesLeft = split == 0 || (i <= split && i != n)
    _ = insertIntoLeaf(entry, goesLeft ? leaf : right, goesLeft ? i : i - split)
    return (right[Self.keys], right)
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
    return (right[Self.keys], right)
  }

  private mutating func remove(_ first: UInt64, from node: Node, _ level: Int) {
    let i = Self.upperBound(node, first) - 1
    let n = Int(node[0])
    if level == 0 {
      Self.moveEntries(node, i + 1, n - i - 1, to: node, i)
      node[0] = UInt64(n - 1)
      return
    }
    let child = Self.child(node, i)
    remove(first, from: child, level - 1)
    if child[0] > 0 { node[Self.keys + i] = Self.leastKey(child) }
    if child[0] < UInt64(Self.fewest), n > 1 { join(node, min(i, n - 2), level - 1) }
  }

  /// Makes one of the children `i` and `i + 1` where they fit, else gives both as much.
  private mutating func join(_ branch: Node, _ i: Int, _ level: Int) {
    let (left, right) = (Self.child(branch, i), Self.child(branch, i + 1))
    let (a, b) = (Int(left[0]), Int(right[0]))
    let capacity = level == 0 ? Self.leafCapacity : Self.branchCapacity
    if a + b <= capacity {
      Self.move(level, right, 0, b, to: left, a)
      left[0] = UInt64(a + b)
      if level == 0 { left[1] = right[1] }
      release(right)
      let n = Int(branch[0])
      Self.moveChildren(branch, i + 2, n - i - 2, to: branch, i + 1)
      branch[0] = UInt64(n - 1)
    } else {
      let half = (a + b) / 2
      if a > half {
        Self.move(level, right, 0, b, to: right, a - half)
        Self.move(level, left, half, a - half, to: right, 0)
      } else {
        Self.move(level, right, 0, half - a, to: left, a)
        Self.move(level, right, half - a, b - half + a, to: right, 0)
      }
      left[0] = UInt64(half)
      right[0] = UInt64(a + b - half)
      branch[Self.keys + i + 1] = Self.leastKey(right)
    }
    branch[Self.keys + i] = Self.leastKey(left)
  }

  // MARK: - Nodes

  // SAFETY: for all below: a node has `nodeWords` words, of which every index is inside: counts are within the
  // capacities, and the callers' indexes within the counts. A child's word is the address of a node that
  // nothing else owns; it is freed when it leaves the tree, or with it.

  /// How many keys are at most `key`.
  @inline(__always)
  private static func upperBound(_ node: Node, _ key: UInt64) -> Int {
    var base = keys
    var n = Int(node[0])
    while n > 1 {
      let half = n / 2
      base = node[base + half - 1] <= key ? base + half : base
      n -= half
    }
    return base - keys + (n == 1 && node[base] <= key ? 1 : 0)
  }

  @inline(__always)
  private static func child(_ branch: Node, _ i: Int) -> Node {
    Node(bitPattern: UInt(branch[children + i])).unsafelyUnwrapped
  }

  @inline(__always)
  private static func word(_ node: Node) -> UInt64 { UInt64(UInt(bitPattern: node)) }

  @inline(__always)
  private static func leastKey(_ node: Node) -> UInt64 { node[keys] }

  @inline(__always)
  private static func entry(_ leaf: Node, _ i: Int) -> TreeEntry {
    let payload = leaf + payloads + 3 * i
    return TreeEntry(
      first: leaf[keys + i], last: payload[0], vaddr: payload[1], word: payload[2])
  }

  @inline(__always)
  private static func set(_ leaf: Node, _ i: Int, _ entry: TreeEntry) {
    leaf[keys + i] = entry.first
    let payload = leaf + payloads + 3 * i
    payload[0] = entry.last
    payload[1] = entry.vaddr
    payload[2] = entry.word
  }

  private static func move(
    _ level: Int, _ from: Node, _ i: Int, _ n: Int, to: Node, _ at: Int
  ) {
    if level == 0 {
      moveEntries(from, i, n, to: to, at)
    } else {
      moveChildren(from, i, n, to: to, at)
    }
  }

  private static func moveEntries(_ from: Node, _ i: Int, _ n: Int, to: Node, _ at: Int) {
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
    node.initialize(repeating: 0, count: nodeWords)
    return node
  }

  private static func free(_ node: Node, _ level: Int) {
    if level > 0 {
      for i in 0..<Int(node[0]) { free(child(node, i), level - 1) }
    }
    node.deallocate()
  }
}
