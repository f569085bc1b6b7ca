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
    return transferLocked(direction, CollectionOfOne((iova, buffer, count)))
  }

  /// The same for many runs, in order.
  func transfer(
    _ direction: CopyDirection, _ segments: UnsafeBufferPointer<DMASegment>
  ) -> DMAFault? {
    lock()
    return transferLocked(
      direction,
      segments.lazy.compactMap { segment in
        segment.buffer.baseAddress.map { (segment.iova.rawValue, $0, segment.buffer.count) }
      })
  }

  /// Unlocks the lane.
  @inline(never)
  private func transferLocked(
    _ direction: CopyDirection,
    _ runs: some Sequence<(iova: UInt64, buffer: UnsafeMutableRawPointer, count: Int)>
  ) -> DMAFault? {
    var transfer = Transfer(direction)
    var ranges: [(first: UInt64, last: UInt64)] = []
    for run in runs where run.count > 0 {
      let (last, wraps) = run.iova.addingReportingOverflow(UInt64(run.count) - 1)
      plan(run, upTo: wraps ? .max : last, &transfer)
      ranges.append((run.iova, wraps ? .max : last))
    }
    guard !transfer.pieces.isEmpty else {
      unlock()
      return transfer.fault
    }
    let ticket = begin(ranges)
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
        guard entry.word & direction(transfer).neededFlag != 0 else {
          transfer.skip(first, run.buffer + start, count, .permission)
          return true
        }
        transfer.pieces.append(
          Transfer.Piece(
            iova: first, buffer: run.buffer + start, count: count,
            vaddr: entry.vaddr &+ (first - entry.first),
            backing: contents.backings[entry.number]))
        return true
      }
    }
    if done < run.count {
      transfer.skip(run.iova &+ UInt64(done), run.buffer + done, run.count - done, .unmapped)
    }
  }

  private func direction(_ transfer: Transfer) -> CopyDirection { transfer.direction }

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
    var backing: Backing
  }

  let direction: CopyDirection
  var pieces: [Piece] = []
  /// The fault that comes first in the transfer's order.
  private(set) var fault: DMAFault?
  /// How many pieces there were before the fault that was found in planning.
  private var piecesBeforeFault = Int.max
  private(set) var written: [ClosedRange<UInt64>] = []

  init(_ direction: CopyDirection) {
    self.direction = direction
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
      if copyByWindow(next) {
        next += 1
        continue
      }
      // As many as lead to the same memory go together.
      var end = next + 1
      while end < pieces.count, pieces[end].backing.memory === pieces[next].backing.memory,
        usableWindow(end) == nil
      {
        end += 1
      }
      copyBySystemCall(next..<end)
      next = end
    }
  }

  private func usableWindow(_ i: Int) -> SharedWindow? {
    guard let window = pieces[i].backing.window, !window.isStale else { return nil }
    return window
  }

  private mutating func copyByWindow(_ i: Int) -> Bool {
    guard let window = usableWindow(i) else { return false }
    let piece = pieces[i]
    let isDone = SharedWindow.copy(
      direction, piece.buffer, host: piece.vaddr &+ window.offset, count: piece.count)
    if isDone { note(piece.iova, piece.count) }
    return isDone
  }

  private mutating func copyBySystemCall(_ range: Range<Int>) {
    let memory = pieces[range.lowerBound].backing.memory
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
