public import ClientAccess
public import DeviceKit
import Synchronization
public import SystemPackage

/// An IOMMU domain in software: I/O virtual addresses to client memory.
///
/// One stands behind every merged set of groups or container that is in use; all devices of it reach
/// memory through it. Calls come from any thread.
///
/// Locking: `changes` makes `map` and `unmap` one at a time, as the kernel's per-IOMMU mutex does, and is
/// held while the client's memory is checked; `state` guards the table and is held for look-ups only,
/// never across a copy of client memory. A transfer notes its range in `state` before it copies, so
/// that `unmap` can wait for it after its mappings are out of the table.
public final class SoftIOMMU: Sendable {
  /// What maps and unmaps keep to.
  public let rules: MappingRules
  /// One bit a supported page size in bytes: the lowest set bit is the alignment of all mappings.
  public let pageSizes: UInt64
  /// The I/O virtual addresses that can be mapped: in order, apart from each other.
  public let iovaRanges: [ClosedRange<IOVA>]
  let mappingLimit: Int
  let dirtyTracking: IOMMUOptions.DirtyTracking

  struct State {
    var table = MappingTable()
    var ledger = TransferLedger()
    var isTornDown = false
    /// The pages written while dirty tracking is on.
    var dirty: DirtyMap?
  }

  let changes = Mutex(())
  let state = Mutex(State())

  public init(rules: MappingRules = .draft2011, options: IOMMUOptions = IOMMUOptions()) {
    self.rules = rules
    pageSizes = options.pageSizes ?? rules.defaultPageSizes
    iovaRanges = (options.windows ?? rules.defaultWindows)
      .without(options.reserved ?? rules.defaultReserved)
    mappingLimit = options.mappingLimit ?? rules.defaultMappingLimit
    dirtyTracking = options.dirtyTracking
  }

  /// The mappings as they are now, in order. Under the draft's rules adjacent ones that continue each other
  /// are one.
  public var mappings: [Mapping] {
    state.withLock { $0.table.mappings }
  }

  /// How many more mappings there can be.
  public var availableMappings: Int {
    mappingLimit - state.withLock { min($0.table.mappings.count, mappingLimit) }
  }

  /// Maps `size` bytes at `iova` to `memory` at `vaddr`, and locks them.
  ///
  /// - Parameters:
  ///   - size: bytes, a multiple of the smallest page, as are `iova` and `vaddr`.
  ///   - permissions: at least one.
  ///   - lockLimit: how many bytes `memory` may have locked in all.
  /// - Throws: in this order: `EINVAL` for arguments against the above or a range that wraps; when a
  ///   part is mapped already, `EBUSY` by the draft's rules and `EEXIST` by today's; `ENOSPC` when there are
  ///   as many mappings as can be; `EINVAL` outside `iovaRanges`; `ENOMEM` over the limit and `EFAULT`
  ///   when not all of the memory is there with the rights that the permissions need, whichever page by
  ///   page comes first (by the draft's rules, `ENOMEM`). `ENODEV` after `tearDown`. Nothing stays mapped
  ///   or locked then.
  public func map(
    iova: IOVA, vaddr: ClientAddress, size: UInt64, permissions: DMAPermissions,
    memory: any AddressSpace, lockLimit: UInt64
  ) throws(Errno) {
    guard !permissions.isEmpty, size > 0, isAligned(iova.rawValue | vaddr.rawValue | size),
      let range = Self.range(iova, size), !vaddr.rawValue.addingReportingOverflow(size - 1).overflow
    else { throw .invalidArgument }

    try changes.withLock { _ throws(Errno) in
      try state.withLock { state throws(Errno) in
        if state.isTornDown { throw .operationNotSupportedByDevice }
        if state.table.overlaps(range) {
          throw rules == .draft2011 ? .resourceBusy : .fileExists
        }
        if state.table.mappings.count >= mappingLimit { throw .noSpace }
      }
      guard isInWindow(range) else { throw .invalidArgument }
      // No process has memory at the very top, and its end could not be told.
      guard let end = vaddr.advanced(by: size) else { throw .badAddress }
      try pin(vaddr..<end, writable: permissions.contains(.write), of: memory, limit: lockLimit)
      let isMapped = state.withLock { state in
        if state.isTornDown { return false }
        state.table.insert(
          Mapping(range: range, vaddr: vaddr, permissions: permissions, memory: memory),
          coalesces: rules == .draft2011)
        return true
      }
      if !isMapped {
        memory.unlock(size)
        throw .operationNotSupportedByDevice
      }
    }
  }

  /// Unmaps the range as the domain's rules say.
  ///
  /// When it returns, no DMA to what was unmapped is under way.
  ///
  /// - Parameter size: bytes, a multiple of the smallest page, as is `iova`; by the draft's rules 0 unmaps nothing.
  /// - Returns: how many bytes were unmapped; today's ABI gives them back in `size`.
  /// - Throws: `EINVAL` for unaligned arguments and a range that wraps; by today's rules for size 0, and
  ///   by those of v2 when a mapping would be cut. Nothing is unmapped then.
  @discardableResult
  public func unmap(iova: IOVA, size: UInt64) throws(Errno) -> UInt64 {
    guard let range = try unmapRange(iova, size) else { return 0 }
    return try changes.withLock { _ throws(Errno) in try remove(range) }
  }

  /// Unmaps everything.
  ///
  /// - Returns: how many bytes were unmapped.
  @discardableResult
  public func unmapAll() -> UInt64 {
    changes.withLock { _ in remove { state in state.table.remove(IOVA(0)...IOVA(.max)) } }
  }

  /// Unmaps everything, for good: every later `map` fails, and no new DMA finds anything.
  ///
  /// The memory is unlocked when the DMA that is under way is over. That may take as long as a client
  /// likes, whose memory it is.
  ///
  /// - Parameter later: is given what has to wait, if anything has; by default it waits here.
  public func tearDown(later: (@escaping @Sendable () -> Void) -> Void = { $0() }) {
    let everything = IOVA(0)...IOVA(.max)
    let (removed, inFlight) = state.withLock { state in
      state.isTornDown = true
      return (state.table.remove(everything), state.ledger.transfers(overlapping: everything))
    }
    let finish: @Sendable () -> Void = {
      for transfer in inFlight { transfer.wait() }
      for mapping in removed { mapping.memory.unlock(mapping.size) }
    }
    if inFlight.isEmpty { finish() } else { later(finish) }
  }

  /// Waits until every transfer that has begun is over.
  func drain() {
    for transfer in state.withLock({ $0.ledger.transfers(overlapping: IOVA(0)...IOVA(.max)) }) {
      transfer.wait()
    }
  }

  // MARK: - For the extensions

  /// Call with `changes` locked.
  func remove(_ range: ClosedRange<IOVA>, keepsDirty: Bool = false) throws(Errno) -> UInt64 {
    try checkUncut(range)
    return remove(keepsDirty: keepsDirty) { state in
      rules == .draft2011 ? state.table.remove(range) : state.table.removeWhole(in: range)
    }
  }

  /// The range that an unmap names, nil for nothing.
  func unmapRange(_ iova: IOVA, _ size: UInt64) throws(Errno) -> ClosedRange<IOVA>? {
    guard isAligned(iova.rawValue | size) else { throw .invalidArgument }
    if size == 0, rules == .draft2011 { return nil }
    guard size > 0, let range = Self.range(iova, size) else { throw .invalidArgument }
    return range
  }

  /// - Throws: `EINVAL` by the rules of v2 where the range cuts a mapping.
  func checkUncut(_ range: ClosedRange<IOVA>) throws(Errno) {
    guard rules == .type1v2 else { return }
    if state.withLock({ $0.table.isCut(by: range) }) { throw .invalidArgument }
  }

  /// Locks and checks client memory.
  func pin(
    _ range: Range<ClientAddress>, writable: Bool, of memory: any AddressSpace, limit: UInt64
  ) throws(Errno) {
    let size = range.upperBound.rawValue - range.lowerBound.rawValue
    do throws(Errno) {
      try memory.lock(size, limit: limit)
    } catch {
      guard rules != .draft2011 else { throw error }
      // The kernel pins page by page: a bad page before the limit comes first.
      let end = try memory.mappedEnd(of: range, writable: writable)
      let good = end.rawValue - range.lowerBound.rawValue
      guard good < size, (try? memory.lock(good, limit: limit)) != nil else { throw error }
      memory.unlock(good)
      throw .badAddress
    }
    do throws(Errno) {
      let end = try memory.mappedEnd(of: range, writable: writable)
      if end != range.upperBound { throw .badAddress }
    } catch {
      memory.unlock(size)
      throw error
    }
  }

  func isAligned(_ bits: UInt64) -> Bool {
    bits & (smallestPage &- 1) == 0
  }

  /// Bytes.
  var smallestPage: UInt64 { pageSizes & (~pageSizes &+ 1) }

  /// - Returns: nil where the range wraps. `size` is not 0.
  static func range(_ iova: IOVA, _ size: UInt64) -> ClosedRange<IOVA>? {
    let (last, overflow) = iova.rawValue.addingReportingOverflow(size - 1)
    return overflow ? nil : iova...IOVA(last)
  }

  private func isInWindow(_ range: ClosedRange<IOVA>) -> Bool {
    iovaRanges.contains {
      $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound
    }
  }

  /// Takes mappings out, waits for the transfers that use them, forgets what they wrote, and unlocks
  /// their memory.
  private func remove(
    keepsDirty: Bool = false, _ take: (inout State) -> [Mapping]
  ) -> UInt64 {
    let (removed, inFlight) = state.withLock { state in
      let removed = take(&state)
      let inFlight = removed.flatMap { state.ledger.transfers(overlapping: $0.range) }
      return (removed, inFlight)
    }
    for transfer in inFlight { transfer.wait() }
    if !keepsDirty {
      state.withLock { state in for mapping in removed { state.dirty?.remove(mapping.range) } }
    }
    var total: UInt64 = 0
    for mapping in removed {
      mapping.memory.unlock(mapping.size)
      // Mapped sizes can sum to 2^64 when the same memory is mapped over and over.
      total = total.addingReportingOverflow(mapping.size).overflow ? .max : total + mapping.size
    }
    return total
  }
}
