public import ClientAccess
public import DeviceKit
public import SystemPackage

/// Mappings whose client memory moves: `VFIO_DMA_UNMAP_FLAG_VADDR` and `VFIO_DMA_MAP_FLAG_VADDR`.
///
/// Between the two, DMA goes on where the memory still is.
extension SoftIOMMU {
  /// Takes the client addresses of the mappings in the range back; the mappings stay.
  ///
  /// - Returns: the bytes of those mappings.
  /// - Throws: `EINVAL` as `unmap`, and when one of them was taken back before; none is then.
  public func invalidateVaddrs(iova: IOVA, size: UInt64) throws(Errno) -> UInt64 {
    guard let range = try unmapRange(iova, size) else { return 0 }
    return try changes.withLock { _ throws(Errno) in
      try checkUncut(range)
      return try invalidate(in: range)
    }
  }

  /// The same for all mappings.
  public func invalidateAllVaddrs() throws(Errno) -> UInt64 {
    try changes.withLock { _ throws(Errno) in try invalidate(in: IOVA(0)...IOVA(.max)) }
  }

  /// Gives a mapping whose client address was taken back a new one, in `memory`, which locks it now.
  ///
  /// - Throws: `EINVAL` for arguments that `map` refuses, for a mapping that was not taken back and for
  ///   another range than its own; `ENOENT` where nothing is mapped; `ENOMEM` over the limit.
  public func updateVaddr(
    iova: IOVA, vaddr: ClientAddress, size: UInt64, memory: any AddressSpace, lockLimit: UInt64
  ) throws(Errno) {
    guard size > 0, isAligned(iova.rawValue | vaddr.rawValue | size),
      let range = Self.range(iova, size), !vaddr.rawValue.addingReportingOverflow(size - 1).overflow
    else { throw .invalidArgument }
    try changes.withLock { _ throws(Errno) in
      guard var mapping = state.withLock({ $0.table.firstMapping(overlapping: range) }) else {
        throw .noSuchFileOrDirectory
      }
      guard mapping.range == range, !mapping.isVaddrValid else { throw .invalidArgument }
      let before = mapping.memory
      if before !== memory { try memory.lock(size, limit: lockLimit) }
      mapping.vaddr = vaddr
      mapping.memory = memory
      mapping.isVaddrValid = true
      let (isMapped, inFlight) = state.withLock { [mapping] state in
        if state.isTornDown { return (false, [Transfer]()) }
        _ = state.table.remove(range)
        state.table.insert(mapping, coalesces: false)
        return (true, state.ledger.transfers(overlapping: range))
      }
      for transfer in inFlight { transfer.wait() }
      if before !== memory { (isMapped ? before : memory).unlock(size) }
      if !isMapped { throw .operationNotSupportedByDevice }
    }
  }

  private func invalidate(in range: ClosedRange<IOVA>) throws(Errno) -> UInt64 {
    try state.withLock { state throws(Errno) in
      let mappings =
        rules == .draft2011
        ? state.table.mappings(overlapping: range) : state.table.whole(in: range)
      guard mappings.allSatisfy(\.isVaddrValid) else { throw .invalidArgument }
      for var mapping in mappings {
        mapping.isVaddrValid = false
        _ = state.table.remove(mapping.range)
        state.table.insert(mapping, coalesces: false)
      }
      return mappings.reduce(0) { $0 &+ $1.size }
    }
  }
}
