import CLinux
import ClientAccess
import DeviceKit

/// One device's way through a domain: the mapping it used last, and the transfers it has under way.
///
/// @unchecked: `state` is touched with the lane's lock held, and its address never changes.
final class Lane: @unchecked Sendable {
  /// Copies up to here are made with the lock held, which costs an unmap less than waiting for them would.
  static let inlineLimit = 64 << 10

  struct Hit {
    var first: UInt64 = 1
    var last: UInt64 = 0
    /// What to add to an IOVA to get the client's address.
    var toVaddr: UInt64 = 0
    var word: UInt64 = 0
    /// What to add to the client's address to get ours, where there is a window.
    var toHost: UInt64 = 0
    /// Kept alive by the mapping.
    var window: Unmanaged<SharedWindow>?
  }

  struct InFlight {
    var ticket: UInt64
    var first: UInt64
    var last: UInt64
  }

  struct State {
    var waiters = 0
    var hit = Hit()
    var table: DomainTable?
    /// Nil where writes are not noted.
    var dirty: DirtyMap?
    var inFlight: [InFlight] = []
    var tickets: UInt64 = 0
  }

  /// Before the state there are, in a cache line of their own, the lock and a count of ended transfers.
  private static let header = 64

  // SAFETY: allocated here with its header, freed in deinit; in between every use has the lock.
  let state: UnsafeMutablePointer<State>

  init() {
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: Self.header + MemoryLayout<State>.stride, alignment: Self.header)
    block.initializeMemory(as: UInt32.self, repeating: 0, count: 2)
    state = (block + Self.header).initializeMemory(as: State.self, to: State())
  }

  deinit {
    state.deinitialize(count: 1)
    (UnsafeMutableRawPointer(state) - Self.header).deallocate()
  }

  @inline(__always)
  func lock() { Self.lock(state) }

  @inline(__always)
  func unlock() { Self.unlock(state) }

  @inline(__always)
  static func lock(_ state: UnsafeMutablePointer<State>) {
    cl_lock(word(state))
  }

  @inline(__always)
  static func unlock(_ state: UnsafeMutablePointer<State>) {
    cl_unlock(word(state))
  }

  @inline(__always)
  private static func word(_ state: UnsafeMutablePointer<State>) -> UnsafeMutablePointer<UInt32> {
    // SAFETY: the header's first word; the second is the count.
    (UnsafeMutableRawPointer(state) - header).assumingMemoryBound(to: UInt32.self)
  }

  // MARK: - With the lock held

  func attach(_ table: DomainTable, tracksDirty: Bool) {
    state.pointee.table = table
    state.pointee.dirty = tracksDirty ? DirtyMap(pageShift: table.pageShift) : nil
    forgetHit()
  }

  /// - Returns: what it had noted.
  func detach() -> DirtyMap? {
    state.pointee.table = nil
    forgetHit()
    defer { state.pointee.dirty = nil }
    return state.pointee.dirty
  }

  func forgetHit() {
    state.pointee.hit = Hit()
  }

  /// Makes the mapping that has `iova` the one used last.
  ///
  /// - Returns: false where there is none.
  @inline(__always)
  func find(_ iova: UInt64) -> Bool {
    if iova >= state.pointee.hit.first, iova <= state.pointee.hit.last { return true }
    guard let table = state.pointee.table else { return false }
    return table.withLocked { contents in
      guard let entry = contents.tree.entry(endingAtOrAfter: iova), entry.first <= iova else {
        return false
      }
      let window = contents.backings[entry.number].window
      state.pointee.hit = Hit(
        first: entry.first, last: entry.last, toVaddr: entry.vaddr &- entry.first,
        word: entry.word, toHost: window?.offset ?? 0,
        window: window.map { Unmanaged.passUnretained($0) })
      return true
    }
  }

  /// Whether the mapping used last has a window that can be used.
  @inline(__always)
  var hitHasWindow: Bool {
    guard let window = state.pointee.hit.window else { return false }
    // SAFETY: a mapping in the table holds its backing, and that the window; without it there is no hit.
    return window._withUnsafeGuaranteedRef { !$0.isStale }
  }

  @inline(__always)
  func noteWrite(_ first: UInt64, _ last: UInt64) {
    if state.pointee.dirty != nil { state.pointee.dirty?.insert(IOVA(first)...IOVA(last)) }
  }

  // MARK: - Transfers that go on without the lock

  /// With the lock held: a ticket for a transfer to these ranges.
  func begin(_ ranges: some Sequence<(first: UInt64, last: UInt64)>) -> UInt64 {
    state.pointee.tickets += 1
    let ticket = state.pointee.tickets
    for range in ranges { add(first: range.first, last: range.last, to: ticket) }
    return ticket
  }

  /// With the lock held, never given back since the ticket: one range more.
  @inline(__always)
  func add(first: UInt64, last: UInt64, to ticket: UInt64) {
    state.pointee.inFlight.append(InFlight(ticket: ticket, first: first, last: last))
  }

  /// With the lock held.
  func end(_ ticket: UInt64) {
    state.pointee.inFlight.removeAll { $0.ticket == ticket }
    ends.pointee &+= 1
    if state.pointee.waiters > 0 { cl_futex_wake(ends) }
  }

  /// With the lock held: whether a transfer that touches the range is under way.
  func isBusy(_ range: ClosedRange<IOVA>) -> Bool {
    state.pointee.inFlight.contains {
      $0.first <= range.upperBound.rawValue && $0.last >= range.lowerBound.rawValue
    }
  }

  /// With the lock held: the number of the transfer that began last.
  var lastTicket: UInt64 { state.pointee.tickets }

  /// With no lock held: waits for the transfers to the range that began up to `ticket`.
  func wait(_ range: ClosedRange<IOVA>, upTo ticket: UInt64) {
    lock()
    state.pointee.waiters += 1
    while state.pointee.inFlight.contains(where: {
      $0.ticket <= ticket && $0.first <= range.upperBound.rawValue
        && $0.last >= range.lowerBound.rawValue
    }) {
      let now = ends.pointee
      unlock()
      cl_futex_wait(ends, now)
      lock()
    }
    state.pointee.waiters -= 1
    unlock()
  }

  /// Who waits for the end of a transfer sleeps on it.
  private var ends: UnsafeMutablePointer<UInt32> { Self.word(state) + 1 }
}
