import ClientAccess
import DeviceKit
import Sysfs
import SystemPackage
import VFIOCore

/// A file of the emulated /sys that a client has open for writing, or for accesses that have effects.
final class AttributeFile: VFIOFile {
  let description: String
  private let file: EmulatedFile

  init(_ path: String, _ file: EmulatedFile) {
    description = path
    self.file = file
  }

  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    throw .inappropriateIOCTLForDevice
  }

  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    if let readPart = file.readPart {
      guard let offset = Int(exactly: offset) else { return 0 }
      // One access: sysfs moves a page at most.
      let part = try readPart(offset, min(buffer.count, Int(SharedMemory.pageSize)))
      buffer.copyBytes(from: part)
      return part.count
    }
    let contents = file.contents?() ?? []
    guard offset < contents.count else { return 0 }
    let part = contents[Int(offset)...].prefix(buffer.count)
    buffer.copyBytes(from: part)
    return part.count
  }

  /// Whether a write means something as a whole, and nothing by where it is.
  var takesWholeWrites: Bool { file.writePart == nil }

  func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int {
    guard let writePart = file.writePart, let offset = Int(exactly: offset) else { throw .ioError }
    return try writePart(offset, Array(buffer))
  }

  /// Acts on what a client writes.
  ///
  /// - Returns: an answer to wait for; nil where all is done.
  func act(_ bytes: [UInt8]) throws(Errno) -> DeferredAnswer? {
    guard let write = file.write else { throw .ioError }
    return try write(bytes)
  }

  // MARK: - Registers

  /// - Throws: `ENODEV` for all but memory; `EINVAL` for what is not all inside, to the end of its last page
  ///   (`pci_mmap_fits`).
  func mmap(_ request: MapRequest) throws(Errno) -> MapBacking {
    guard let registers = file.registers else { throw .operationNotSupportedByDevice }
    let page = SharedMemory.pageSize
    let end = (registers.size + page - 1) / page * page
    guard request.length > 0, request.offset < end, request.length <= end - request.offset else {
      throw .invalidArgument
    }
    return MapBacking(memory: nil, offset: request.offset)
  }

  func load(at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64 {
    try registers(offset, width)?.load(offset, width) ?? .max
  }

  func store(at offset: UInt64, width: AccessWidth, value: UInt64) throws(Errno) {
    try registers(offset, width)?.store(offset, width, value)
  }

  /// - Returns: nil where the rest of the page has none.
  private func registers(_ offset: UInt64, _ width: AccessWidth) throws(Errno) -> SysfsRegisters? {
    guard let registers = file.registers else { throw .ioError }
    let isInside = offset < registers.size && UInt64(width.rawValue) <= registers.size - offset
    return isInside ? registers : nil
  }

  func release() {}
}
