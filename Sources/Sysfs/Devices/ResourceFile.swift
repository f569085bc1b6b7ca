import DeviceKit
import SystemPackage
import VFIOCore

extension SysfsFile {
  /// `resourceN`: ports are read and written, memory is mapped (drivers/pci/pci-sysfs.c, `pci_create_attr`).
  static func resource(
    _ bar: PCIFunctionDescription.BAR, number: Int, of address: PCIAddress, _ bus: PCIBus
  ) -> SysfsFile {
    let registers = SysfsRegisters(size: bar.size) { offset, width in
      bus.read(bar: number, of: address, at: offset, width: width)
    } store: { offset, width, value in
      bus.write(bar: number, of: address, at: offset, width: width, value: value)
    }
    let isPorts = bar.space == .io
    var file = SysfsFile(0o600, size: bar.size)
    if !isPorts { file.registers = registers }
    file.readPart = { offset, count throws(Errno) in
      guard let inside = registers.inside(offset, count), !inside.isEmpty else { return [] }
      let width = try Self.width(inside.count, isPorts)
      let value = registers.load(UInt64(inside.lowerBound), width)
      return (0..<inside.count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }
    file.writePart = { offset, bytes throws(Errno) in
      guard let inside = registers.inside(offset, bytes.count) else { throw .fileTooLarge }
      if inside.isEmpty { return 0 }
      let width = try Self.width(inside.count, isPorts)
      let value = bytes.prefix(inside.count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
      registers.store(UInt64(inside.lowerBound), width, value)
      return inside.count
    }
    return file
  }

  /// - Throws: `EIO` for memory, which files neither read nor write; `EINVAL` for what no port takes.
  private static func width(_ count: Int, _ isPorts: Bool) throws(Errno) -> AccessWidth {
    if !isPorts { throw .ioError }
    guard count <= 4, let width = AccessWidth(rawValue: count) else { throw .invalidArgument }
    return width
  }
}

extension SysfsRegisters {
  /// The part of an access that is inside; nil where it starts behind.
  fileprivate func inside(_ offset: Int, _ count: Int) -> Range<Int>? {
    guard offset >= 0, offset < size else { return nil }
    return offset..<(offset + min(count, Int(size) - offset))
  }
}
