public import ClientAccess
public import DeviceKit
import Synchronization
public import SystemPackage

/// An IOMMU domain in software: I/O virtual addresses to client memory.
///
/// One stands behind every merged set of groups that is in use; all devices of the set reach memory
/// through it. Calls come from any thread.
///
/// Locking: `changes` makes `map` and `unmap` one at a time, as the kernel's per-IOMMU mutex does, and is
/// held while the client's memory is checked; `state` guards the table and is held for look-ups only,
/// never across a copy of client memory. A transfer notes its range in `state` before it copies, so
/// that `unmap` can wait for it after its mappings are out of the table.
public final class SoftIOMMU: Sendable {
  /// One bit a supported page size in bytes: the lowest set bit is the alignment of all mappings.
  public let pageSizes: UInt64
  /// All I/O virtual addresses that can be mapped.
  public let iovaRange = IOVA(0)...IOVA(.max)

  struct State {
    var table = MappingTable()
    var ledger = TransferLedger()
    var isTornDown = false
  }

  private let changes = Mutex(())
  let state = Mutex(State())

  /// - Parameter pageSizes: one bit a page size in bytes; the default offers 4 KiB and everything above.
  public init(pageSizes: UInt64 = 0xffff_ffff_ffff_f000) {
    self.pageSizes = pageSizes
  }

  /// The mappings as they are now, in order; adjacent ones that continue each other are one.
  public var mappings: [Mapping] {
    state.withLock { $0.table.mappings }
  }

  /// Maps `size` bytes at `iova` to `memory` at `vaddr`, and locks them.
  ///
  /// - Parameters:
  ///   - size: bytes, a multiple of the smallest page, as are `iova` and `vaddr`.
  ///   - permissions: at least one.
  ///   - lockLimit: how many bytes `memory` may have locked in all.
  /// - Throws: `EINVAL` for arguments against the above or a range that wraps, `EBUSY` when a part is
  ///   mapped already, `ENOMEM` over the limit, `EFAULT` when not all of the memory is there with the
  ///   rights that the permissions need, `ENODEV` after `tearDown`. Nothing stays mapped or locked then.
  public func map(
    iova: IOVA, vaddr: ClientAddress, size: UInt64, permissions: DMAPermissions,
    memory: any AddressSpace, lockLimit: UInt64
  ) throws(Errno) {
    guard !permissions.isEmpty, size > 0, isAligned(iova.rawValue | vaddr.rawValue | size),
      let range = Self.range(iova, size), !vaddr.rawValue.addingReportingOverflow(size - 1).overflow
    else { throw .invalidArgument }
    // No process has memory at the very top, and its end could not be told.
    guard let end = vaddr.advanced(by: size) else { throw .badAddress }

    try changes.withLock { _ throws(Errno) in
      try state.withLock { state throws(Errno) in
        if state.isTornDown { throw .operationNotSupportedByDevice }
        if state.table.overlaps(range) { throw .resourceBusy }
      }
      try memory.lock(size, limit: lockLimit)
      do throws(Errno) {
        try memory.checkMapped(vaddr..<end, writable: permissions.contains(.write))
      } catch {
        memory.unlock(size)
        throw error
      }
      let isMapped = state.withLock { state in
        if state.isTornDown { return false }
        state.table.insert(
          Mapping(range: range, vaddr: vaddr, permissions: permissions, memory: memory))
        return true
      }
      if !isMapped {
        memory.unlock(size)
        throw .operationNotSupportedByDevice
      }
    }
  }

  /// Unmaps whatever part of the range is mapped, cutting mappings as needed.
  ///
  /// When it returns, no DMA to the range is under way.
  ///
  /// - Parameter size: bytes, a multiple of the smallest page, as is `iova`; 0 unmaps nothing.
  /// - Returns: how many bytes were mapped.
  /// - Throws: `EINVAL` for unaligned arguments and a range that wraps.
  @discardableResult
  public func unmap(iova: IOVA, size: UInt64) throws(Errno) -> UInt64 {
    guard isAligned(iova.rawValue | size) else { throw .invalidArgument }
    if size == 0 { return 0 }
    guard let range = Self.range(iova, size) else { throw .invalidArgument }
    return remove(range)
  }

  /// Unmaps everything, for good: every later `map` fails, and no new DMA finds anything.
  ///
  /// The memory is unlocked when the DMA that is under way is over. That may take as long as a client
  /// likes, whose memory it is.
  ///
  /// - Parameter later: is given what has to wait, if anything has; by default it waits here.
  public func tearDown(later: (@escaping @Sendable () -> Void) -> Void = { $0() }) {
    let (removed, inFlight) = state.withLock { state in
      state.isTornDown = true
      return (state.table.remove(iovaRange), state.ledger.transfers(overlapping: iovaRange))
    }
    let finish: @Sendable () -> Void = {
      for transfer in inFlight { transfer.wait() }
      for mapping in removed { mapping.memory.unlock(mapping.size) }
    }
    if inFlight.isEmpty { finish() } else { later(finish) }
  }

  /// Waits until every transfer that has begun is over.
  func drain() {
    for transfer in state.withLock({ $0.ledger.transfers(overlapping: iovaRange) }) {
      transfer.wait()
    }
  }

  private func remove(_ range: ClosedRange<IOVA>) -> UInt64 {
    changes.withLock { _ in
      let (removed, inFlight) = state.withLock { state in
        (state.table.remove(range), state.ledger.transfers(overlapping: range))
      }
      for transfer in inFlight { transfer.wait() }
      var total: UInt64 = 0
      for mapping in removed {
        mapping.memory.unlock(mapping.size)
        // Mapped sizes can sum to 2^64 when the same memory is mapped over and over.
        total = total.addingReportingOverflow(mapping.size).overflow ? .max : total + mapping.size
      }
      return total
    }
  }

  private func isAligned(_ bits: UInt64) -> Bool {
    let smallest = pageSizes & (~pageSizes &+ 1)
    return bits & (smallest &- 1) == 0
  }

  /// - Returns: nil where the range wraps. `size` is not 0.
  private static func range(_ iova: IOVA, _ size: UInt64) -> ClosedRange<IOVA>? {
    let (last, overflow) = iova.rawValue.addingReportingOverflow(size - 1)
    return overflow ? nil : iova...IOVA(last)
  }
}
