import CLinux
import ClientAccess
import DeviceKit

/// The mappings of a domain, for all of its devices at once.
///
/// Each device has a lane with a lock of its own, and looks mappings up under that alone, so that devices
/// do not contend. Whoever changes the mappings holds `lock` and the locks of all lanes, for as long as
/// that takes and across no system call. A change of several steps, with system calls between them, has the
/// turn, which is no lock: others of the kind wait for it, and nobody else does.
///
/// @unchecked: `contents` is read under `lock` or under a lane's lock, and changed under all of them.
final class DomainTable: @unchecked Sendable {
  struct Contents: ~Copyable {
    fileprivate(set) var lanes: [Lane] = []
    /// Theirs, for locking with no reference counted.
    fileprivate var states: [UnsafeMutablePointer<Lane.State>] = []
    var tree = MappingTree()
    var backings = Backings()
    var isTornDown = false
    /// Whether writes are noted, by the lanes.
    var isTrackingDirty = false
    /// What lanes have noted that are here no more.
    var dirty: DirtyMap
    /// Counts changes that took something away.
    var removals: UInt64 = 0
    /// Whether somebody has the turn, and how many wait for it.
    fileprivate var isTaken = false
    fileprivate var waiting = 0
  }

  let pageShift: UInt64
  /// And, behind it, a count of turns that were waited for.
  private let lock = UnsafeMutablePointer<UInt32>.allocate(capacity: 2)
  private let contents = UnsafeMutablePointer<Contents>.allocate(capacity: 1)

  init(pageShift: UInt64) {
    self.pageShift = pageShift
    // SAFETY: allocated above, freed in deinit, not reachable before and after.
    lock.initialize(repeating: 0, count: 2)
    contents.initialize(to: Contents(dirty: DirtyMap(pageShift: pageShift)))
  }

  deinit {
    contents.deinitialize(count: 1)
    contents.deallocate()
    lock.deallocate()
  }

  /// Reads the mappings, outside of any lane.
  @inline(__always)
  func look<Result, Failure: Error>(
    _ body: (borrowing Contents) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: nobody changes them without the lock.
    cl_lock(lock)
    defer { cl_unlock(lock) }
    return try body(contents.pointee)
  }

  /// Changes the mappings. The body waits for nothing.
  @inline(__always)
  func change<Result, Failure: Error>(
    _ body: (inout Contents) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    cl_lock(lock)
    defer { cl_unlock(lock) }
    return try changeLocked(body)
  }

  /// Call with `lock` held.
  @inline(__always)
  private func changeLocked<Result, Failure: Error>(
    _ body: (inout Contents) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    contents.pointee.lockLanes()
    defer { contents.pointee.unlockLanes() }
    let before = contents.pointee.removals
    // SAFETY: with all locks held nobody else reads or writes them.
    let result = try body(&contents.pointee)
    if contents.pointee.removals != before { contents.pointee.forgetHits() }
    return result
  }

  // MARK: - Turns

  /// Takes the turn, and reads the mappings; where the body throws, it is nobody's again. `end` gives it back.
  @inline(__always)
  func begin<Result, Failure: Error>(
    _ body: (borrowing Contents) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    cl_lock(lock)
    defer { cl_unlock(lock) }
    if contents.pointee.isTaken { waitForTurn() }
    // SAFETY: as in `look`.
    let result = try body(contents.pointee)
    contents.pointee.isTaken = true
    return result
  }

  /// Changes the mappings, and gives the turn back.
  @inline(__always)
  func end<Result>(_ body: (inout Contents) -> Result) -> Result {
    cl_lock(lock)
    defer { cl_unlock(lock) }
    let result = changeLocked(body)
    giveBack()
    return result
  }

  /// Gives the turn back.
  func end() {
    cl_lock(lock)
    giveBack()
    cl_unlock(lock)
  }

  /// Waits for the turn, and changes the mappings. Where the body sets its second argument, it has the
  /// turn from then on.
  @inline(__always)
  func changeInTurn<Result, Failure: Error>(
    _ body: (inout Contents, inout Bool) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    cl_lock(lock)
    defer { cl_unlock(lock) }
    if contents.pointee.isTaken { waitForTurn() }
    return try changeLocked { contents throws(Failure) in
      var goesOn = false
      let result = try body(&contents, &goesOn)
      contents.isTaken = goesOn
      return result
    }
  }

  /// Runs `body` with the turn taken.
  func inTurn<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    begin { _ in }
    defer { end() }
    return try body()
  }

  /// Call with `lock` held, which it gives back for a while.
  @inline(never)
  private func waitForTurn() {
    contents.pointee.waiting += 1
    while contents.pointee.isTaken {
      let seen = turns.pointee
      cl_unlock(lock)
      cl_futex_wait(turns, seen)
      cl_lock(lock)
    }
    contents.pointee.waiting -= 1
  }

  /// Call with `lock` held.
  @inline(__always)
  private func giveBack() {
    contents.pointee.isTaken = false
    guard contents.pointee.waiting > 0 else { return }
    turns.pointee &+= 1
    cl_futex_wake(turns)
  }

  // SAFETY: the second of the two words.
  private var turns: UnsafeMutablePointer<UInt32> { lock + 1 }

  /// For lanes, with their lock held.
  @inline(__always)
  func withLocked<Result>(_ body: (borrowing Contents) -> Result) -> Result {
    // SAFETY: who changes them would hold that lane's lock.
    body(contents.pointee)
  }

  /// The same: the backing of an entry.
  func backing(_ word: UInt64) -> Backing {
    withLocked { $0.backings[Int(word >> 8)] }
  }

  func add(_ lane: Lane) {
    cl_lock(lock)
    contents.pointee.lanes.append(lane)
    contents.pointee.states.append(lane.state)
    lane.lock()
    lane.attach(self, tracksDirty: contents.pointee.isTrackingDirty)
    lane.unlock()
    cl_unlock(lock)
  }

  func remove(_ lane: Lane) {
    cl_lock(lock)
    if let index = contents.pointee.lanes.firstIndex(where: { $0 === lane }) {
      contents.pointee.lanes.remove(at: index)
      contents.pointee.states.remove(at: index)
      lane.lock()
      if let dirty = lane.detach(), contents.pointee.isTrackingDirty {
        contents.pointee.dirty.formUnion(dirty)
      }
      lane.unlock()
    }
    cl_unlock(lock)
  }
}

extension DomainTable.Contents {
  fileprivate func lockLanes() {
    for i in states.indices { Lane.lock(states[i]) }
  }

  fileprivate func unlockLanes() {
    for i in states.indices { Lane.unlock(states[i]) }
  }

  fileprivate func forgetHits() {
    for i in states.indices { states[i].pointee.hit = Lane.Hit() }
  }

  /// The same for what was taken out.
  @inline(__always)
  func waits(for removed: Removed) -> [(lane: Lane, ticket: UInt64)] {
    removed.range.map { waits($0) } ?? []
  }

  /// The lanes with transfers to the range under way, and their latest ones. Call with all lanes locked.
  func waits(_ range: ClosedRange<IOVA>) -> [(lane: Lane, ticket: UInt64)] {
    guard states.indices.contains(where: { !states[$0].pointee.inFlight.isEmpty }) else {
      return []
    }
    return lanes.compactMap { $0.isBusy(range) ? ($0, $0.lastTicket) : nil }
  }

  static let readFlag: UInt64 = 1
  static let writeFlag: UInt64 = 2
  static let movingFlag: UInt64 = 4

  static func word(_ number: Int, _ permissions: DMAPermissions) -> UInt64 {
    UInt64(number) << 8 | UInt64(permissions.rawValue)
  }

  borrowing func mapping(_ entry: TreeEntry) -> Mapping {
    Mapping(
      range: IOVA(entry.first)...IOVA(entry.last), vaddr: ClientAddress(entry.vaddr),
      permissions: DMAPermissions(rawValue: UInt8(entry.word & 3)),
      memory: backings[entry.number].memory, isVaddrValid: entry.word & Self.movingFlag == 0)
  }

  /// Calls `body` with every entry that `range` touches, in order, until it says false.
  borrowing func forEach(in range: ClosedRange<IOVA>, _ body: (TreeEntry) -> Bool) {
    var next = range.lowerBound.rawValue
    while let entry = tree.entry(endingAtOrAfter: next), entry.first <= range.upperBound.rawValue {
      guard body(entry), entry.last < range.upperBound.rawValue else { return }
      next = entry.last + 1
    }
  }

  /// Where a mapping of the range would go; nil where it would overlap another. Call with the table's lock held.
  borrowing func place(for range: ClosedRange<IOVA>) -> MappingTree.Place? {
    let first = range.lowerBound.rawValue
    let place = tree.place(behind: first)
    if let before = tree.entry(before: place), before.last >= first { return nil }
    if let after = tree.entry(after: place), after.first <= range.upperBound.rawValue { return nil }
    return place
  }

  /// Whether the range begins or ends inside a mapping.
  borrowing func isCut(by range: ClosedRange<IOVA>) -> Bool {
    let (first, last) = (range.lowerBound.rawValue, range.upperBound.rawValue)
    if let head = tree.entry(beginningAtOrBefore: first), head.last >= first, head.first != first {
      return true
    }
    if let tail = tree.entry(beginningAtOrBefore: last), tail.last > last { return true }
    return false
  }

  /// Adds a mapping that overlaps none.
  ///
  /// - Parameters:
  ///   - place: what `place(for:)` said.
  ///   - coalesces: joins it with the neighbours that it continues.
  mutating func insert(_ new: TreeEntry, at place: MappingTree.Place, coalesces: Bool) {
    guard coalesces else { return tree.insert(new, at: place) }
    var joined = new
    var isIn = false
    let (before, after) = (tree.entry(before: place), tree.entry(after: place))
    if let before, before.continues(into: new) {
      joined.first = before.first
      joined.vaddr = before.vaddr
      isIn = true
      backings.drop(new.number)
    }
    let isJoinedBehind = after.map { new.continues(into: $0) } ?? false
    if let after, isJoinedBehind {
      joined.last = after.last
      tree.remove(first: after.first)
      backings.drop(after.number)
    }
    if isIn {
      tree.replace(joined)
    } else if isJoinedBehind {
      tree.insert(joined)
    } else {
      tree.insert(joined, at: place)
    }
  }

  /// What was taken out of the table.
  struct Removed {
    /// From the first mapping to the last.
    var range: ClosedRange<IOVA>?
    var bytes: UInt64 = 0
    /// Whose the bytes are: mostly one's. A window goes with the last of its backing, and so stays until this does.
    private var backing: Backing?
    private var number = -1
    private var bytesOfBacking: UInt64 = 0
    private var others: [(backing: Backing, bytes: UInt64)] = []

    /// - Parameter backing: the entry's; asked for only where it is another than the last one's.
    @inline(__always)
    mutating func add(_ entry: TreeEntry, _ backing: @autoclosure () -> Backing) {
      let size = entry.last &- entry.first &+ 1
      // Mapped sizes can sum to 2^64 when the same memory is mapped over and over.
      bytes = bytes.addingReportingOverflow(size).overflow ? .max : bytes + size
      range = (range?.lowerBound ?? IOVA(entry.first))...IOVA(entry.last)
      if entry.number != number {
        if let backing = self.backing { others.append((backing, bytesOfBacking)) }
        self.backing = backing()
        number = entry.number
        bytesOfBacking = 0
      }
      bytesOfBacking &+= self.backing.unsafelyUnwrapped.locked(entry.vaddr, size)
    }

    /// Unlocks the memory.
    func unlock() {
      for (backing, bytes) in others { backing.memory.unlock(bytes) }
      backing?.memory.unlock(bytesOfBacking)
    }
  }

  /// Takes out everything inside `range`, cutting the mappings that reach beyond it.
  mutating func removeCutting(_ range: ClosedRange<IOVA>) -> Removed {
    let (first, last) = (range.lowerBound.rawValue, range.upperBound.rawValue)
    var removed = Removed()
    var next = first
    while true {
      let place = tree.place(behind: next)
      guard let entry = tree.entry(endingAtOrAfter: next, from: place), entry.first <= last else {
        break
      }
      var middle = entry
      if entry.first < first {
        var head = entry
        head.last = first - 1
        tree.replace(head)
        backings.useAgain(entry.number)
        middle = entry.from(first)
      } else {
        tree.remove(first: entry.first, near: place)
      }
      if entry.last > last {
        tree.insert(entry.from(last + 1))
        backings.useAgain(entry.number)
        middle.last = last
      }
      removed.add(middle, backings[entry.number])
      backings.drop(entry.number)
      removals &+= 1
      if middle.last == last { break }
      next = middle.last + 1
    }
    return removed
  }

  /// Takes out, whole, the mappings that begin in `range`; none where the first in it begins before.
  mutating func removeWhole(in range: ClosedRange<IOVA>) -> Removed {
    var removed = Removed()
    var next = range.lowerBound.rawValue
    while true {
      let place = tree.place(behind: next)
      guard let entry = tree.entry(endingAtOrAfter: next, from: place),
        entry.first <= range.upperBound.rawValue
      else { break }
      if removed.range == nil, entry.first < range.lowerBound.rawValue { break }
      tree.remove(first: entry.first, near: place)
      removed.add(entry, backings[entry.number])
      backings.drop(entry.number)
      removals &+= 1
      if entry.last >= range.upperBound.rawValue { break }
      next = entry.last + 1
    }
    return removed
  }
}
