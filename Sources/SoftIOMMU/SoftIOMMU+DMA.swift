import ClientAccess
public import DeviceKit
import SystemPackage

extension SoftIOMMU {
  /// Reads memory for a device, piece by piece; what it may not read comes back as zeros.
  ///
  /// - Returns: the fault at the lowest address that did not go through.
  public func read(_ iova: IOVA, into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    let transfer = Transfer()
    return transfer.run {
      begin(transfer, iova, buffer.count).read(into: buffer)
    }
  }

  /// Writes memory for a device, piece by piece; what it may not write vanishes.
  ///
  /// - Returns: the fault at the lowest address that did not go through.
  public func write(_ iova: IOVA, from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    let transfer = Transfer()
    return transfer.run {
      begin(transfer, iova, buffer.count).write(from: buffer)
    }
  }

  /// Looks the range up and enters the transfer, whose gate is shut, into the ledger.
  func begin(_ transfer: Transfer, _ iova: IOVA, _ count: Int) -> TransferPlan {
    guard count > 0 else {
      return TransferPlan(domain: self, transfer: transfer, iova: iova, range: nil, pieces: [])
    }
    let (end, wraps) = iova.rawValue.addingReportingOverflow(UInt64(count) - 1)
    let range = iova...IOVA(wraps ? .max : end)
    let pieces = state.withLock { state in
      state.ledger.begin(transfer, range)
      return state.table.pieces(in: range)
    }
    return TransferPlan(
      domain: self, transfer: transfer, iova: iova, range: range, pieces: pieces)
  }
}

/// What a transfer found mapped when it began. Addresses above 2^64 - 1 count as unmapped.
struct TransferPlan {
  let domain: SoftIOMMU
  let transfer: Transfer
  let iova: IOVA
  /// Nil for a transfer of nothing.
  let range: ClosedRange<IOVA>?
  /// In order, inside `range`.
  let pieces: [Mapping]

  func read(into buffer: UnsafeMutableRawBufferPointer) -> DMAFault? {
    run(
      count: buffer.count, needs: .read,
      copy: { (memory, address, part) throws(Errno) in
        // SAFETY: `run` hands out parts of `0..<buffer.count` only.
        try memory.read(address, into: UnsafeMutableRawBufferPointer(rebasing: buffer[part]))
      },
      skip: { part in
        UnsafeMutableRawBufferPointer(rebasing: buffer[part]).initializeMemory(
          as: UInt8.self, repeating: 0)
      })
  }

  func write(from buffer: UnsafeRawBufferPointer) -> DMAFault? {
    run(
      count: buffer.count, needs: .write,
      copy: { (memory, address, part) throws(Errno) in
        // SAFETY: `run` hands out parts of `0..<buffer.count` only.
        try memory.write(address, from: UnsafeRawBufferPointer(rebasing: buffer[part]))
      },
      skip: { _ in })
  }

  private typealias Copy = (any AddressSpace, ClientAddress, Range<Int>) throws(Errno) -> Void

  /// Goes over `0..<count`: what is mapped for `needs` is copied, the rest skipped.
  private func run(
    count: Int, needs: DMAPermissions, copy: Copy, skip: (Range<Int>) -> Void
  ) -> DMAFault? {
    guard range != nil else { return nil }
    defer { domain.state.withLock { $0.ledger.end(transfer) } }
    var fault: DMAFault?
    var done = 0
    func skipping(to end: Int, _ cause: DMAFault.Cause) {
      guard end > done else { return }
      fault = fault ?? DMAFault(iova: IOVA(iova.rawValue &+ UInt64(done)), cause: cause)
      skip(done..<end)
      done = end
    }
    for piece in pieces {
      skipping(to: Int(piece.range.lowerBound.rawValue - iova.rawValue), .unmapped)
      let part = done..<(done + Int(piece.size))
      guard piece.permissions.contains(needs) else {
        skipping(to: part.upperBound, .permission)
        continue
      }
      do {
        try copy(piece.memory, piece.vaddr, part)
        done = part.upperBound
        note(part, needs)
      } catch {
        // Some page is gone since it was mapped: the others still arrive.
        for page in Self.pages(of: piece, at: part) {
          do {
            try copy(piece.memory, page.address, page.part)
            done = page.part.upperBound
            note(page.part, needs)
          } catch {
            skipping(to: page.part.upperBound, .memoryGone)
          }
        }
      }
    }
    skipping(to: count, .unmapped)
    return fault
  }

  /// Notes pages that were written.
  private func note(_ part: Range<Int>, _ direction: DMAPermissions) {
    guard direction == .write else { return }
    let first = IOVA(iova.rawValue + UInt64(part.lowerBound))
    let last = IOVA(iova.rawValue + UInt64(part.upperBound - 1))
    domain.state.withLock { $0.dirty?.insert(first...last) }
  }

  /// Cuts a piece at the client's page bounds.
  private static func pages(
    of piece: Mapping, at part: Range<Int>
  ) -> [(address: ClientAddress, part: Range<Int>)] {
    let pageSize: UInt64 = 4096
    var pages: [(address: ClientAddress, part: Range<Int>)] = []
    var address = piece.vaddr
    var start = part.lowerBound
    while start < part.upperBound {
      let left = pageSize - address.rawValue % pageSize
      let count = min(Int(left), part.upperBound - start)
      pages.append((address, start..<(start + count)))
      address.rawValue += UInt64(count)
      start += count
    }
    return pages
  }
}
