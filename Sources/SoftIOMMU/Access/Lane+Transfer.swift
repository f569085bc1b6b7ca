import ClientAccess
import DeviceKit

extension Lane {
  /// Moves one run of bytes for a device, and goes on behind what faults.
  ///
  /// - Returns: the fault at the lowest address that did not go through.
  @inline(__always)
  func transfer(
    _ direction: CopyDirection, _ iova: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int
  ) -> DMAFault? {
    let last = iova &+ UInt64(truncatingIfNeeded: count) &- 1
    lock()
    if count <= Self.inlineLimit, last >= iova, find(iova), last <= state.pointee.hit.last,
      state.pointee.hit.word & direction.neededFlag != 0, hitHasWindow
    {
      let host = iova &+ state.pointee.hit.toVaddr &+ state.pointee.hit.toHost
      if SharedWindow.copy(direction, buffer, host: host, count: count) {
        if direction == .toClient { noteWrite(iova, last) }
        unlock()
        return nil
      }
    }
    let bytes = UnsafeMutableRawBufferPointer(start: buffer, count: count)
    return withUnsafePointer(to: DMASegment(iova: IOVA(iova), buffer: bytes)) {
      // SAFETY: the one segment, for the length of the call.
      transferLocked(direction, UnsafeBufferPointer(start: $0, count: 1))
    }
  }

  /// The same for many runs, in order.
  func transfer(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>
  ) -> DMAFault? {
    lock()
    return transferLocked(direction, segments)
  }

  /// Unlocks the lane.
  @inline(never)
  private func transferLocked(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>
  ) -> DMAFault? {
    if let runs = runsInHit(direction, segments) {
      if copy(direction, segments, runs) { return nil }
      // The client has taken pages away: which ones, the other way tells.
      lock()
    }
    return transferInPieces(direction, segments)
  }

  /// Runs that are all in one mapping.
  private struct RunsInHit {
    /// From the first byte of all to the last.
    var first = UInt64.max
    var last = UInt64.min
    /// What to add to an IOVA to get the client's address.
    let toVaddr: UInt64
    let backing: Backing
  }

  /// With the lock held: makes the mapping of the runs the one used last; nil where there is no such.
  private func runsInHit(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>
  ) -> RunsInHit? {
    guard let start = segments.first, find(start.iova.rawValue),
      state.pointee.hit.word & direction.neededFlag != 0,
      let backing = state.pointee.table?.backing(state.pointee.hit.word)
    else { return nil }
    let (first, last) = (state.pointee.hit.first, state.pointee.hit.last)
    var runs = RunsInHit(toVaddr: state.pointee.hit.toVaddr, backing: backing)
    for segment in segments {
      let (iova, count) = (segment.iova.rawValue, UInt64(segment.buffer.count))
      guard iova >= first, iova <= last, count > 0, count - 1 <= last - iova else { return nil }
      runs.first = min(runs.first, iova)
      runs.last = max(runs.last, iova + (count - 1))
    }
    return runs
  }

  /// Unlocks the lane.
  ///
  /// - Returns: false when the client has taken pages away; a part may have moved.
  private func copy(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>, _ runs: RunsInHit
  ) -> Bool {
    let ticket = begin(CollectionOfOne((runs.first, runs.last)))
    unlock()
    let isDone: Bool
    if let window = runs.backing.usableWindow {
      isDone = withExtendedLifetime(runs.backing) {
        let toHost = runs.toVaddr &+ window.offset
        return segments.allSatisfy { segment in
          guard let start = segment.buffer.baseAddress else { return true }
          return SharedWindow.copy(
            direction, start, host: segment.iova.rawValue &+ toHost, count: segment.buffer.count)
        }
      }
    } else {
      var all: [CopySegment] = []
      all.reserveCapacity(segments.count)
      var count = 0
      for segment in segments {
        guard let start = segment.buffer.baseAddress else { continue }
        let remote = ClientAddress(segment.iova.rawValue &+ runs.toVaddr)
        all.append(CopySegment(local: start, remote: remote, count: segment.buffer.count))
        count += segment.buffer.count
      }
      isDone = all.withUnsafeBufferPointer { runs.backing.memory.copy(direction, $0) } == count
    }
    lock()
    if isDone, direction == .toClient, state.pointee.dirty != nil {
      for segment in segments {
        noteWrite(
          segment.iova.rawValue, segment.iova.rawValue + UInt64(segment.buffer.count - 1))
      }
    }
    end(ticket)
    unlock()
    return isDone
  }

  /// Unlocks the lane.
  private func transferInPieces(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>
  ) -> DMAFault? {
    var transfer = Transfer(direction, capacity: segments.count)
    let ticket = begin(EmptyCollection<(first: UInt64, last: UInt64)>())
    for segment in segments {
      guard let start = segment.buffer.baseAddress, segment.buffer.count > 0 else { continue }
      let run = (iova: segment.iova.rawValue, buffer: start, count: segment.buffer.count)
      let (end, wraps) = run.iova.addingReportingOverflow(UInt64(run.count) - 1)
      let last = wraps ? .max : end
      plan(run, upTo: last, &transfer)
      add(first: run.iova, last: last, to: ticket)
    }
    guard !transfer.pieces.isEmpty else {
      end(ticket)
      unlock()
      return transfer.fault
    }
    unlock()
    transfer.run()
    lock()
    for range in transfer.written { noteWrite(range.lowerBound, range.upperBound) }
    end(ticket)
    unlock()
    return transfer.fault
  }

  /// With the lock held: finds what of a run is mapped. Addresses above 2^64 - 1 count as unmapped.
  private func plan(
    _ run: (iova: UInt64, buffer: UnsafeMutableRawPointer, count: Int), upTo last: UInt64,
    _ transfer: inout Transfer
  ) {
    guard let table = state.pointee.table else {
      return transfer.skip(run.iova, run.buffer, run.count, .noDomain)
    }
    let neededFlag = transfer.direction.neededFlag
    var done = 0
    table.withLocked { contents in
      contents.forEach(in: IOVA(run.iova)...IOVA(last)) { entry in
        let first = max(entry.first, run.iova)
        let start = Int(first - run.iova)
        if start > done {
          transfer.skip(
            run.iova &+ UInt64(done), run.buffer + done, start - done, .unmapped)
        }
        let count = Int(min(entry.last, last) - first) + 1
        done = start + count
        guard entry.word & neededFlag != 0 else {
          transfer.skip(first, run.buffer + start, count, .permission)
          return true
        }
        transfer.add(
          iova: first, run.buffer + start, count, vaddr: entry.vaddr &+ (first - entry.first),
          entry.number, contents.backings)
        return true
      }
    }
    if done < run.count {
      transfer.skip(run.iova &+ UInt64(done), run.buffer + done, run.count - done, .unmapped)
    }
  }

  /// A read-modify-write of shared memory.
  func atomic(
    _ operation: DMAAtomic, _ iova: UInt64, _ width: Int, _ operand: UInt64
  ) throws(DMAFault) -> UInt64 {
    lock()
    defer { unlock() }
    func fault(_ cause: DMAFault.Cause) -> DMAFault { DMAFault(iova: IOVA(iova), cause: cause) }
    guard state.pointee.table != nil else { throw fault(.noDomain) }
    guard width == 4 || width == 8, iova % UInt64(width) == 0 else { throw fault(.noAtomics) }
    guard find(iova) else { throw fault(.unmapped) }
    guard state.pointee.hit.word & 3 == 3 else { throw fault(.permission) }
    guard hitHasWindow else { throw fault(.noAtomics) }
    let host = iova &+ state.pointee.hit.toVaddr &+ state.pointee.hit.toHost
    let old =
      switch operation {
      case .fetchAdd: SharedWindow.atomic(host: host, width: width, .add, operand: operand)
      case .swap: SharedWindow.atomic(host: host, width: width, .swap, operand: operand)
      case .compareSwap(let expected):
        SharedWindow.atomic(
          host: host, width: width, .compareSwap, operand: operand, expected: expected)
      }
    guard let old else { throw fault(.memoryGone) }
    noteWrite(iova, iova + UInt64(width - 1))
    return old
  }
}

extension CopyDirection {
  var neededFlag: UInt64 {
    switch self {
    case .fromClient: DomainTable.Contents.readFlag
    case .toClient: DomainTable.Contents.writeFlag
    }
  }
}

/// The mapped pieces of a transfer, in order, and what became of them.
struct Transfer {
  struct Piece {
    var iova: UInt64
    var buffer: UnsafeMutableRawPointer
    var count: Int
    var vaddr: UInt64
    /// Its index in `backings`.
    var backing: Int
  }

  let direction: CopyDirection
  private(set) var pieces: [Piece] = []
  /// Each next to another; mostly there is one.
  private var backings: [Backing] = []
  /// The number in the table of the last one.
  private var lastNumber = -1
  /// The fault that comes first in the transfer's order.
  private(set) var fault: DMAFault?
  /// How many pieces there were before the fault that was found in planning.
  private var piecesBeforeFault = Int.max
  private(set) var written: [ClosedRange<UInt64>] = []

  init(_ direction: CopyDirection, capacity: Int) {
    self.direction = direction
    pieces.reserveCapacity(capacity)
  }

  @inline(__always)
  mutating func add(
    iova: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int, vaddr: UInt64, _ number: Int,
    _ table: borrowing Backings
  ) {
    if number != lastNumber {
      backings.append(table[number])
      lastNumber = number
    }
    pieces.append(
      Piece(
        iova: iova, buffer: buffer, count: count, vaddr: vaddr, backing: backings.count - 1))
  }

  /// A part that is not moved: a device reads zeros there.
  mutating func skip(
    _ iova: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ cause: DMAFault.Cause
  ) {
    if fault == nil {
      fault = DMAFault(iova: IOVA(iova), cause: cause)
      piecesBeforeFault = pieces.count
    }
    zero(buffer, count)
  }

  /// Moves the pieces. Call it with no lock held.
  mutating func run() {
    var next = 0
    while next < pieces.count {
      let backing = backings[pieces[next].backing]
      if let window = backing.usableWindow, copy(next, by: window) {
        next += 1
        continue
      }
      // As many as lead to the same memory go together.
      var end = next + 1
      while end < pieces.count {
        let other = backings[pieces[end].backing]
        guard other === backing || other.memory === backing.memory, other.usableWindow == nil
        else { break }
        end += 1
      }
      copyBySystemCall(next..<end, backing.memory)
      next = end
    }
  }

  private mutating func copy(_ i: Int, by window: SharedWindow) -> Bool {
    let piece = pieces[i]
    let isDone = SharedWindow.copy(
      direction, piece.buffer, host: piece.vaddr &+ window.offset, count: piece.count)
    if isDone { note(piece.iova, piece.count) }
    return isDone
  }

  private mutating func copyBySystemCall(_ range: Range<Int>, _ memory: any AddressSpace) {
    var segments = pieces[range].map {
      CopySegment(local: $0.buffer, remote: ClientAddress($0.vaddr), count: $0.count)
    }
    // The piece that segment 0 is a part of.
    var first = range.lowerBound
    while !segments.isEmpty {
      var moved = segments.withUnsafeBufferPointer { memory.copy(direction, $0) }
      var i = 0
      while i < segments.count, moved >= segments[i].count {
        note(iova(segments[i], in: first + i), segments[i].count)
        moved -= segments[i].count
        i += 1
      }
      guard i < segments.count else { return }
      // A page of this one is gone since it was mapped: the others still go.
      if moved > 0 { note(iova(segments[i], in: first + i), moved) }
      segments.removeFirst(i)
      first += i
      var rest = segments[0]
      rest.advance(by: moved)
      let gone = min(rest.count, 4096 - Int(rest.remote.rawValue % 4096))
      if first < piecesBeforeFault {
        fault = DMAFault(iova: IOVA(iova(rest, in: first)), cause: .memoryGone)
        piecesBeforeFault = first
      }
      zero(rest.local, gone)
      rest.advance(by: gone)
      if rest.count > 0 {
        segments[0] = rest
      } else {
        segments.removeFirst()
        first += 1
      }
    }
  }

  private func iova(_ segment: CopySegment, in piece: Int) -> UInt64 {
    pieces[piece].iova &+ (segment.remote.rawValue &- pieces[piece].vaddr)
  }

  private mutating func note(_ iova: UInt64, _ count: Int) {
    guard direction == .toClient else { return }
    let last = iova + UInt64(count - 1)
    if let before = written.last, before.upperBound &+ 1 == iova {
      written[written.count - 1] = before.lowerBound...last
    } else {
      written.append(iova...last)
    }
  }

  private func zero(_ buffer: UnsafeMutableRawPointer, _ count: Int) {
    // SAFETY: a part of the device's buffer for a read, which is for writing.
    if direction == .fromClient {
      buffer.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }
  }
}

extension CopySegment {
  fileprivate mutating func advance(by bytes: Int) {
    local += bytes
    remote = ClientAddress(remote.rawValue &+ UInt64(bytes))
    count -= bytes
  }
}
