import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// How a client reads and writes a function's regions (drivers/vfio/pci/vfio_pci_rdwr.c).
extension PCIFunction {
  /// Bytes of a region, 0 where the function does not have it.
  func size(of region: PCIRegion) -> UInt64 {
    switch region {
    case .bar0, .bar1, .bar2, .bar3, .bar4, .bar5: bar(region)?.size ?? 0
    case .rom: kind.description.romSize
    case .config: UInt64(kind.description.configSize)
    }
  }

  /// Reads at `offset` of `region`, short across its end.
  ///
  /// - Throws: `EINVAL` at or past the end, `EIO` where the memory behind it is not decoded, `ENOMEM` of the
  ///   ROM then.
  func read(
    _ region: PCIRegion, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    let count = try count(region, offset, buffer.count)
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    switch region {
    case .config:
      readConfig(at: Int(offset), into: buffer)
    case .rom:
      // The kernel maps the image, for which it looks for the signature.
      guard isDecoded(.memorySpace), let rom = kind.description.rom else { throw .noMemory }
      for i in 0..<count {
        let at = Int(offset) + i
        buffer[i] = at < rom.count ? rom[at] : 0xff
      }
    default:
      try checkMemory(region)
      for segment in segments(region, offset, count) {
        read(region, segment, into: UnsafeMutableRawBufferPointer(rebasing: buffer[segment.part]))
      }
    }
    return count
  }

  /// Writes at `offset` of `region`, short across its end; throws as `read`, and `EINVAL` for the ROM.
  func write(
    _ region: PCIRegion, at offset: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) -> Int {
    if region == .rom { throw .invalidArgument }
    let count = try count(region, offset, buffer.count)
    // SAFETY: `count` is at most the buffer's.
    let buffer = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    if region == .config {
      writeConfig(buffer, at: Int(offset))
      return count
    }
    try checkMemory(region)
    for segment in segments(region, offset, count) where segment.kind == .registers {
      write(region, segment, from: UnsafeRawBufferPointer(rebasing: buffer[segment.part]))
    }
    return count
  }

  func bar(_ region: PCIRegion) -> PCIFunctionDescription.BAR? {
    region.bar.flatMap { kind.description.bars[$0] }
  }

  private func count(
    _ region: PCIRegion, _ offset: UInt64, _ wanted: Int
  ) throws(Errno) -> Int {
    let size = size(of: region)
    guard offset < size else { throw .invalidArgument }
    return Int(min(UInt64(wanted), size - offset))
  }

  // MARK: - Decoding

  private func isDecoded(_ space: PCICommand) -> Bool {
    pins.look { $0.config.isPowered && $0.config.command.contains(space) }
  }

  /// Ports that are not decoded read as ones; memory must not be touched then.
  func checkMemory(_ region: PCIRegion) throws(Errno) {
    if bar(region)?.space != .io, !isDecoded(.memorySpace) { throw .ioError }
  }

  // MARK: - Segments

  /// A part of an access, by what it meets.
  private struct Segment {
    enum Kind {
      /// The model's, or RAM.
      case registers
      /// What reads as ones and swallows writes: the MSI-X table, and ports that are not decoded.
      case ones
      case pendingBits
    }

    var kind: Kind
    /// Bytes from the start of the region.
    var offset: UInt64
    /// The bytes of the access.
    var part: Range<Int>
  }

  private func segments(_ region: PCIRegion, _ offset: UInt64, _ count: Int) -> [Segment] {
    if bar(region)?.space == .io, !isDecoded(.ioSpace) {
      return [Segment(kind: .ones, offset: offset, part: 0..<count)]
    }
    guard let msix = kind.description.msix, let number = region.bar,
      msix.table.bar == number || msix.pending.bar == number
    else { return [Segment(kind: .registers, offset: offset, part: 0..<count)] }
    let end = offset + UInt64(count)
    let table = msix.table.bar == number ? msix.tableRange : 0..<0
    let pending = msix.pending.bar == number ? msix.pendingRange : 0..<0
    let inside = [table.lowerBound, table.upperBound, pending.lowerBound, pending.upperBound]
      .filter { $0 > offset && $0 < end }
    let bounds = Set(inside + [offset, end]).sorted()
    return zip(bounds, bounds.dropFirst()).map { start, stop in
      let kind: Segment.Kind =
        table.contains(start) ? .ones : pending.contains(start) ? .pendingBits : .registers
      return Segment(
        kind: kind, offset: start, part: Int(start - offset)..<Int(stop - offset))
    }
  }

  private func read(
    _ region: PCIRegion, _ segment: Segment, into buffer: UnsafeMutableRawBufferPointer
  ) {
    switch segment.kind {
    case .ones:
      buffer.initializeMemory(as: UInt8.self, repeating: 0xff)
    case .pendingBits:
      let start = Int(segment.offset - (kind.description.msix?.pending.offset ?? 0))
      pins.look { state in
        for i in buffer.indices { buffer[i] = state.pendingMSIX.byte(at: start + i) }
      }
    case .registers:
      guard let number = region.bar else { return }
      if let window = memory?.windows[number] {
        return window.read(at: Int(segment.offset), into: buffer)
      }
      readRegisters(at: segment.offset, into: buffer) { offset, width in
        model.read(bar: number, offset: offset, width: width)
      }
    }
  }

  private func write(
    _ region: PCIRegion, _ segment: Segment, from buffer: UnsafeRawBufferPointer
  ) {
    guard let number = region.bar else { return }
    if let window = memory?.windows[number] {
      return window.write(at: Int(segment.offset), from: buffer)
    }
    writeRegisters(at: segment.offset, from: buffer) { offset, width, value in
      model.write(bar: number, offset: offset, width: width, value: value)
    }
  }
}
