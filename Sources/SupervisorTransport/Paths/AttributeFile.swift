import SystemPackage
import VFIOCore

/// A file of the emulated /sys that a client has open for writing.
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

  func release() {}
}
