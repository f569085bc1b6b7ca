import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// Registers that a client has mapped: its transport brings each access here.
extension PCIFunction {
  /// Bytes of a region of registers that can be mapped: whole pages, the last one's rest with nothing in it. Nil
  /// for other regions.
  func mappableRegisters(of region: PCIRegion) -> UInt64? {
    guard let bar = bar(region), bar.space != .io, !bar.isRAM else { return nil }
    let page = SharedMemory.pageSize
    return (bar.size + page - 1) / page * page
  }

  /// An access of `width` bytes to what is mapped of the region; 0 behind its end.
  ///
  /// - Throws: `EIO` where memory is not decoded, `EINVAL` past its last page; either raises SIGBUS.
  func load(
    _ region: PCIRegion, at offset: UInt64, width: AccessWidth
  ) throws(Errno) -> UInt64 {
    if isWhole(region, offset, width), let number = region.bar {
      try checkMemory(region)
      return model.read(bar: number, offset: offset, width: width)
    }
    if try isBehindEnd(region, offset) { return 0 }
    if let word = msixTableWord(region, offset) { return word }
    var value: UInt64 = 0
    try withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
      // SAFETY: a part of the value's own bytes, for the length of the call.
      _ = try read(
        region, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<width.rawValue]))
    }
    return value
  }

  /// The same for a write.
  func store(
    _ region: PCIRegion, at offset: UInt64, width: AccessWidth, value: UInt64
  ) throws(Errno) {
    if isWhole(region, offset, width), let number = region.bar {
      try checkMemory(region)
      return model.write(bar: number, offset: offset, width: width, value: value)
    }
    if try isBehindEnd(region, offset) { return }
    try withUnsafeBytes(of: value.littleEndian) { bytes throws(Errno) in
      // SAFETY: a part of the value's own bytes, for the length of the call.
      _ = try write(
        region, at: offset, from: UnsafeRawBufferPointer(rebasing: bytes[..<width.rawValue]))
    }
  }

  /// Whether the last page has nothing there. A client can have mapped more than that without our being asked.
  private func isBehindEnd(_ region: PCIRegion, _ offset: UInt64) throws(Errno) -> Bool {
    guard offset >= size(of: region) else { return false }
    guard offset < mappableRegisters(of: region) ?? 0 else { throw .invalidArgument }
    try checkMemory(region)
    return true
  }

  /// Whether the access is one of the model's as it is; pread and pwrite would cut one of 8 bytes in two.
  private func isWhole(_ region: PCIRegion, _ offset: UInt64, _ width: AccessWidth) -> Bool {
    guard kind.description.takesQwords, bar(region)?.isRAM != true, width == .qword,
      offset % 8 == 0, offset + 8 <= size(of: region)
    else { return false }
    guard let msix = kind.description.msix else { return true }
    let bytes = offset..<(offset + 8)
    return
      !(msix.table.bar == region.bar && msix.tableRange.overlaps(bytes)
      || msix.pending.bar == region.bar && msix.pendingRange.overlaps(bytes))
  }

  /// The MSI-X table is there for who maps it: all vectors masked, since messages go to eventfds.
  private func msixTableWord(_ region: PCIRegion, _ offset: UInt64) -> UInt64? {
    guard let msix = kind.description.msix, msix.table.bar == region.bar,
      msix.tableRange.contains(offset)
    else { return nil }
    return (offset - msix.tableRange.lowerBound) % 16 == 12 ? 1 : 0
  }
}
