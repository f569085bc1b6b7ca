public import DeviceKit
public import SystemPackage

/// Dirty tracking: `VFIO_IOMMU_DIRTY_PAGES` and `VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP`.
///
/// A bitmap has a bit for each page of the smallest size, of which bit 0 of the first word is the range's
/// first; it has whole words of 64 bits. It is handed out in parts of at most 64 KiB, in order: where in the
/// bitmap each begins, in bytes, and its bytes.
extension SoftIOMMU {
  public typealias BitmapReceiver = (Int, UnsafeRawBufferPointer) throws(Errno) -> Void

  /// Whether writes of devices are noted.
  public var isTrackingDirty: Bool { table.look { $0.isTrackingDirty } }

  /// Starts to note what devices write; does nothing where it has started.
  public func startDirtyTracking() {
    table.change { contents in
      if contents.isTrackingDirty { return }
      contents.isTrackingDirty = true
      for lane in contents.lanes { lane.state.pointee.dirty = DirtyMap(pageShift: pageShift) }
    }
  }

  /// Stops, and forgets what was written.
  public func stopDirtyTracking() {
    table.change { contents in
      contents.isTrackingDirty = false
      contents.dirty = DirtyMap(pageShift: pageShift)
      for lane in contents.lanes { lane.state.pointee.dirty = nil }
    }
  }

  /// Hands out which pages of the range devices have written since the last time, and starts over.
  ///
  /// - Throws: `EINVAL` without tracking, for unaligned or empty ranges, those that wrap and those that
  ///   begin or end inside a mapping; what `receiver` throws, with the pages of that part still dirty.
  public func takeDirtyBitmap(
    iova: IOVA, size: UInt64, _ receiver: BitmapReceiver
  ) throws(Errno) {
    guard isTrackingDirty, size > 0, isAligned(iova.rawValue | size),
      !iova.rawValue.addingReportingOverflow(size).overflow, let range = Self.range(iova, size)
    else { throw .invalidArgument }
    try table.inTurn { () throws(Errno) in
      if table.look({ $0.isCut(by: range) }) { throw .invalidArgument }
      try handOut(range, clears: true, receiver)
    }
  }

  /// Unmaps the range, and hands out which of its pages devices have written.
  ///
  /// - Returns: how many bytes were unmapped.
  /// - Throws: `EINVAL` as `unmap`, and without tracking; what `receiver` throws, with nothing unmapped.
  public func unmap(
    iova: IOVA, size: UInt64, dirtyBitmap receiver: BitmapReceiver
  ) throws(Errno) -> UInt64 {
    guard let range = try unmapRange(iova, size), isTrackingDirty else { throw .invalidArgument }
    return try table.inTurn { () throws(Errno) in
      try checkUncut(range)
      // Before, while it may fail; and again, with what was written until the mappings were gone.
      try handOut(range, clears: false, receiver)
      let (removed, waits) = try table.change { contents throws(Errno) in
        let removed = try take(range, from: &contents)
        return (removed, contents.waits(for: removed))
      }
      for wait in waits { wait.lane.wait(range, upTo: wait.ticket) }
      removed.unlock()
      if dirtyTracking == .exact { try? handOut(range, clears: true, receiver) }
      table.change { $0.forget(range) }
      return removed.bytes
    }
  }

  private var pageShift: UInt64 { table.pageShift }

  /// Call with the turn taken.
  private func handOut(
    _ range: ClosedRange<IOVA>, clears: Bool, _ receiver: BitmapReceiver
  ) throws(Errno) {
    let bytesPerPart = 64 << 10
    let pagesPerPart = UInt64(bytesPerPart * 8)
    var offset = 0
    var start = range.lowerBound.rawValue
    while true {
      let (last, wraps) = start.addingReportingOverflow((pagesPerPart << pageShift) - 1)
      let part = IOVA(start)...IOVA(wraps ? .max : last).clamped(to: range)
      let words = take(part, clears: clears)
      do throws(Errno) {
        try words.withUnsafeBufferPointer { buffer throws(Errno) in
          // SAFETY: the array's own storage, for the length of the call.
          try receiver(offset, UnsafeRawBufferPointer(buffer))
        }
      } catch {
        if clears { giveBack(words, at: part.lowerBound) }
        throw error
      }
      if part.upperBound == range.upperBound { return }
      start = part.upperBound.rawValue + 1
      offset += bytesPerPart
    }
  }

  private func take(_ part: ClosedRange<IOVA>, clears: Bool) -> [UInt64] {
    let pages = (part.upperBound.rawValue - part.lowerBound.rawValue) >> pageShift + 1
    return table.change { contents in
      var words = [UInt64](repeating: 0, count: Int((pages + 63) / 64))
      if dirtyTracking == .all {
        var mapped = DirtyMap(pageShift: pageShift)
        contents.forEach(in: part) { entry in
          mapped.insert((IOVA(entry.first)...IOVA(entry.last)).clamped(to: part))
          return true
        }
        mapped.collect(part, into: &words)
      }
      contents.dirty.collect(part, into: &words)
      for lane in contents.lanes { lane.state.pointee.dirty?.collect(part, into: &words) }
      if clears { contents.forget(part) }
      return words
    }
  }

  private func giveBack(_ words: [UInt64], at start: IOVA) {
    table.change { contents in
      for (i, word) in words.enumerated() where word != 0 {
        for bit in 0..<UInt64(64) where word & 1 << bit != 0 {
          let page = IOVA(start.rawValue + (UInt64(i) * 64 + bit) << pageShift)
          contents.dirty.insert(page...page)
        }
      }
    }
  }
}

extension DomainTable.Contents {
  /// Forgets what was written in `range`.
  mutating func forget(_ range: ClosedRange<IOVA>) {
    dirty.remove(range)
    for lane in lanes { lane.state.pointee.dirty?.remove(range) }
  }
}

extension IOVA {
  fileprivate func clamped(to range: ClosedRange<IOVA>) -> IOVA {
    min(max(self, range.lowerBound), range.upperBound)
  }
}
