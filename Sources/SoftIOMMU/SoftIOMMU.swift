public import ClientAccess
public import DeviceKit
public import SystemPackage

/// An IOMMU domain in software: I/O virtual addresses to client memory.
///
/// One stands behind every merged set of groups or container that is in use; all devices of it reach
/// memory through it. Calls come from any thread.
///
/// Locking: the mappings are in `table`, which each device looks at under a lock of its own; none of its locks
/// is held across a system call. `map` and `unmap` are one at a time, as the kernel's per-IOMMU mutex has
/// them: they take turns, and keep theirs while the client's memory is checked. A transfer notes its range in
/// its device's lane before it copies, so that `unmap` can wait for it after its mappings are out of the table.
public final class SoftIOMMU: Sendable {
  /// What maps and unmaps keep to.
  public let rules: MappingRules
  /// One bit a supported page size in bytes: the lowest set bit is the alignment of all mappings.
  public let pageSizes: UInt64
  /// The I/O virtual addresses that can be mapped: in order, apart from each other.
  public let iovaRanges: [ClosedRange<IOVA>]
  let mappingLimit: Int
  let dirtyTracking: IOMMUOptions.DirtyTracking
  let ignoresLockLimit: Bool

  let table: DomainTable
  static let everything = IOVA(0)...IOVA(.max)

  public init(rules: MappingRules = .draft2011, options: IOMMUOptions = IOMMUOptions()) {
    self.rules = rules
    pageSizes = options.pageSizes ?? rules.defaultPageSizes
    iovaRanges = (options.windows ?? rules.defaultWindows)
      .without(options.reserved ?? rules.defaultReserved)
    mappingLimit = options.mappingLimit ?? rules.defaultMappingLimit
    dirtyTracking = options.dirtyTracking
    ignoresLockLimit = options.ignoresLockLimit
    table = DomainTable(pageShift: UInt64(pageSizes.trailingZeroBitCount))
  }

  /// The mappings as they are now, in order. Under the draft's rules adjacent ones that continue each other
  /// are one.
  public var mappings: [Mapping] {
    table.look { contents in
      var all: [Mapping] = []
      contents.forEach(in: Self.everything) {
        all.append(contents.mapping($0))
        return true
      }
      return all
    }
  }

  public var mappingCount: Int { table.look { $0.tree.count } }

  /// Bytes that the table of mappings takes.
  public var footprint: Int { table.look { $0.tree.footprint } }

  /// How many more mappings there can be.
  public var availableMappings: Int {
    mappingLimit - min(mappingCount, mappingLimit)
  }

  /// Maps `size` bytes at `iova` to `memory` at `vaddr`, and locks them.
  ///
  /// - Parameters:
  ///   - size: bytes, a multiple of the smallest page, as are `iova` and `vaddr`.
  ///   - permissions: at least one.
  ///   - lockLimit: how many bytes `memory` may have locked in all; asked for where it is to hold.
  /// - Throws: in this order: `EINVAL` for arguments against the above or a range that wraps; when a
  ///   part is mapped already, `EBUSY` by the draft's rules and `EEXIST` by today's; `ENOSPC` when there are
  ///   as many mappings as can be; `EINVAL` outside `iovaRanges`; `ENOMEM` over the limit and `EFAULT`
  ///   when not all of the memory is there with the rights that the permissions need, whichever page by
  ///   page comes first (by the draft's rules, `ENOMEM`). `ENODEV` after `tearDown`. Nothing stays mapped
  ///   or locked then.
  public func map(
    iova: IOVA, vaddr: ClientAddress, size: UInt64, permissions: DMAPermissions,
    memory: any AddressSpace, lockLimit: @autoclosure () throws(Errno) -> UInt64
  ) throws(Errno) {
    guard !permissions.isEmpty, size > 0, isAligned(iova.rawValue | vaddr.rawValue | size),
      let range = Self.range(iova, size), !vaddr.rawValue.addingReportingOverflow(size - 1).overflow
    else { throw .invalidArgument }

    let place = try table.begin { contents throws(Errno) in
      if contents.isTornDown { throw .operationNotSupportedByDevice }
      guard let place = contents.place(for: range) else {
        throw rules == .draft2011 ? .resourceBusy : .fileExists
      }
      if contents.tree.count >= mappingLimit { throw .noSpace }
      return place
    }
    let extent: MappedExtent
    do throws(Errno) {
      guard isInWindow(range) else { throw .invalidArgument }
      // No process has memory at the very top, and its end could not be told.
      guard let end = vaddr.advanced(by: size) else { throw .badAddress }
      extent = try pin(
        vaddr..<end, writable: permissions.contains(.write), of: memory, limit: lockLimit)
    } catch {
      table.end()
      throw error
    }
    let isMapped = table.end { contents in
      // Nobody else has had the turn, and the place is good still.
      if contents.isTornDown { return false }
      let number = contents.backings.use(memory, extent)
      contents.insert(
        TreeEntry(
          first: range.lowerBound.rawValue, last: range.upperBound.rawValue,
          vaddr: vaddr.rawValue, word: DomainTable.Contents.word(number, permissions)),
        at: place, coalesces: rules == .draft2011)
      return true
    }
    if !isMapped {
      memory.unlock(extent.devices.bytesOutside(vaddr.rawValue, size))
      throw .operationNotSupportedByDevice
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
    return try remove { contents throws(Errno) in try take(range, from: &contents) }
  }

  /// Unmaps everything.
  ///
  /// - Returns: how many bytes were unmapped.
  @discardableResult
  public func unmapAll() -> UInt64 {
    let bytes = try? remove { $0.removeCutting(Self.everything) }
    // Nothing in it fails.
    return bytes ?? 0
  }

  /// Unmaps everything, for good: every later `map` fails, and no new DMA finds anything.
  ///
  /// The memory is unlocked when the DMA that is under way is over. That may take as long as a client
  /// likes, whose memory it is.
  ///
  /// - Parameter later: is given what has to wait, if anything has; by default it waits here.
  public func tearDown(later: (@escaping @Sendable () -> Void) -> Void = { $0() }) {
    let (removed, waits) = table.change { contents in
      contents.isTornDown = true
      return (contents.removeCutting(Self.everything), contents.waits(Self.everything))
    }
    let finish: @Sendable () -> Void = {
      for wait in waits { wait.lane.wait(Self.everything, upTo: wait.ticket) }
      removed.unlock()
    }
    if waits.isEmpty { finish() } else { later(finish) }
  }

  /// The mapping that is the least away from `iova`.
  func nearestMapping(to iova: IOVA) -> ClosedRange<IOVA>? {
    table.look { contents in
      let before = contents.tree.entry(beginningAtOrBefore: iova.rawValue)
      let after = contents.tree.entry(endingAtOrAfter: iova.rawValue)
      func distance(_ entry: TreeEntry) -> UInt64 {
        entry.first > iova.rawValue
          ? entry.first - iova.rawValue
          : entry.last < iova.rawValue ? iova.rawValue - entry.last : 0
      }
      let nearest = [before, after].compactMap { $0 }.min { distance($0) < distance($1) }
      return nearest.map { IOVA($0.first)...IOVA($0.last) }
    }
  }

  // MARK: - For the extensions

  /// Takes out what an unmap of the range does.
  func take(
    _ range: ClosedRange<IOVA>, from contents: inout DomainTable.Contents
  ) throws(Errno) -> DomainTable.Contents.Removed {
    if rules == .draft2011 { return contents.removeCutting(range) }
    if rules == .type1v2, contents.isCut(by: range) { throw .invalidArgument }
    return contents.removeWhole(in: range)
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
    if table.look({ $0.isCut(by: range) }) { throw .invalidArgument }
  }

  /// Locks and checks client memory.
  ///
  /// - Returns: all of it.
  func pin(
    _ range: Range<ClientAddress>, writable: Bool, of memory: any AddressSpace,
    limit: () throws(Errno) -> UInt64
  ) throws(Errno) -> MappedExtent {
    let limit = ignoresLockLimit ? .max : try limit()
    let extent = try memory.mapped(range, writable: writable)
    // The kernel of today pins page by page: only pages before a bad one can be too many.
    let end = rules == .draft2011 ? range.upperBound : extent.end
    let locked = extent.devices.bytesOutside(
      range.lowerBound.rawValue, end.rawValue - range.lowerBound.rawValue)
    try memory.lock(locked, limit: limit)
    if extent.end < range.upperBound {
      memory.unlock(locked)
      throw .badAddress
    }
    return extent
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
  @inline(__always)
  private func remove(
    _ take: (inout DomainTable.Contents) throws(Errno) -> DomainTable.Contents.Removed
  ) throws(Errno) -> UInt64 {
    let (removed, waits) = try table.changeInTurn { contents, goesOn throws(Errno) in
      let removed = try take(&contents)
      let waits = contents.waits(for: removed)
      if let range = removed.range, contents.isTrackingDirty { contents.forget(range) }
      goesOn = !waits.isEmpty
      return (removed, waits)
    }
    if !waits.isEmpty, let range = removed.range {
      for wait in waits { wait.lane.wait(range, upTo: wait.ticket) }
      table.end { $0.forget(range) }
    }
    removed.unlock()
    return removed.bytes
  }
}
