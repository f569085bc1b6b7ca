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
    return try table.inTurn { () throws(Errno) in
      try checkUncut(range)
      return try invalidate(in: range)
    }
  }

  /// The same for all mappings.
  public func invalidateAllVaddrs() throws(Errno) -> UInt64 {
    try table.inTurn { () throws(Errno) in try invalidate(in: IOVA(0)...IOVA(.max)) }
  }

  /// Gives a mapping whose client address was taken back a new one, in `memory`, which locks it now.
  ///
  /// - Throws: `EINVAL` for arguments that `map` refuses, for a mapping that was not taken back and for
  ///   another range than its own; `ENOENT` where nothing is mapped; `ENOMEM` over the limit.
  public func updateVaddr(
    iova: IOVA, vaddr: ClientAddress, size: UInt64, memory: any AddressSpace,
    lockLimit: @autoclosure () throws(Errno) -> UInt64
  ) throws(Errno) {
    guard size > 0, isAligned(iova.rawValue | vaddr.rawValue | size),
      let range = Self.range(iova, size), !vaddr.rawValue.addingReportingOverflow(size - 1).overflow
    else { throw .invalidArgument }
    try table.inTurn { () throws(Errno) in
      let entry = table.look { $0.tree.entry(endingAtOrAfter: iova.rawValue) }
      guard var entry, entry.first <= range.upperBound.rawValue else {
        throw .noSuchFileOrDirectory
      }
      guard entry.first == iova.rawValue, entry.last == range.upperBound.rawValue,
        entry.word & DomainTable.Contents.movingFlag != 0
      else { throw .invalidArgument }
      let before = table.look { $0.backings[entry.number] }
      let isAnother = before.memory !== memory
      let permissions = DMAPermissions(rawValue: UInt8(entry.word & 3))
      // Not checked, as in the kernel: what is not there faults when a device gets to it.
      var extent = MappedExtent(end: vaddr)
      if let end = vaddr.advanced(by: size),
        let found = try? memory.mapped(vaddr..<end, writable: permissions.contains(.write))
      {
        extent = found
      }
      let lockedBefore = before.locked(entry.vaddr, size)
      let locked = extent.devices.bytesOutside(vaddr.rawValue, size)
      // Only what another process takes over may be too much for it.
      let limit = ignoresLockLimit || !isAnother ? .max : try lockLimit()
      try memory.lock(locked, limit: limit)
      entry.vaddr = vaddr.rawValue
      let waits = table.change { [entry] contents -> [(lane: Lane, ticket: UInt64)]? in
        if contents.isTornDown { return nil }
        var entry = entry
        contents.backings.drop(entry.number)
        entry.word = DomainTable.Contents.word(contents.backings.use(memory, extent), permissions)
        contents.tree.replace(entry)
        contents.removals &+= 1
        return contents.waits(range)
      }
      for wait in waits ?? [] { wait.lane.wait(range, upTo: wait.ticket) }
      guard waits != nil else {
        memory.unlock(locked)
        throw .operationNotSupportedByDevice
      }
      before.memory.unlock(lockedBefore)
    }
  }

  private func invalidate(in range: ClosedRange<IOVA>) throws(Errno) -> UInt64 {
    try table.change { contents throws(Errno) in
      var entries: [TreeEntry] = []
      contents.forEach(in: range) { entry in
        if rules != .draft2011, entries.isEmpty, entry.first < range.lowerBound.rawValue {
          return false
        }
        entries.append(entry)
        return true
      }
      let flag = DomainTable.Contents.movingFlag
      guard entries.allSatisfy({ $0.word & flag == 0 }) else { throw .invalidArgument }
      for var entry in entries {
        entry.word |= flag
        contents.tree.replace(entry)
      }
      return entries.reduce(0) { $0 &+ ($1.last &- $1.first &+ 1) }
    }
  }
}
