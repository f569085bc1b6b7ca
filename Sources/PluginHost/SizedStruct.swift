import CPlugin
import SystemPackage

/// A struct of the plug-in interface that says its size, at its start.
///
/// What the plug-in's has not is zero, and what it has more is left alone.
///
/// - Parameter least: bytes that it must have: the fields that make no sense as zero.
/// - Throws: `EINVAL` for a null pointer and a size below `least`.
func copySized<T>(
  _ pointer: UnsafePointer<T>?, into value: T, least: Int
) throws(Errno) -> T {
  guard let pointer else { throw .invalidArgument }
  // SAFETY: the plug-in promises `size` bytes there, of which the first four are the size.
  let size = Int(UnsafeRawPointer(pointer).loadUnaligned(as: UInt32.self))
  guard size >= least else { throw .invalidArgument }
  var value = value
  withUnsafeMutableBytes(of: &value) { bytes in
    // SAFETY: not more than either side has; the value is a C struct, whose every pattern is valid.
    bytes.copyMemory(
      from: UnsafeRawBufferPointer(start: pointer, count: min(size, bytes.count)))
  }
  return value
}

/// A plug-in's text.
///
/// - Throws: `EINVAL` for a null pointer, for what is no UTF-8 and for more than `limit` bytes.
func copyText(_ pointer: UnsafePointer<CChar>?, limit: Int) throws(Errno) -> String {
  guard let pointer else { throw .invalidArgument }
  // SAFETY: the plug-in promises a NUL; not more than `limit` bytes and it are looked at.
  var bytes: [UInt8] = []
  while bytes.count <= limit {
    let byte = UInt8(bitPattern: pointer[bytes.count])
    if byte == 0 {
      guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalidArgument }
      return text
    }
    bytes.append(byte)
  }
  throw .invalidArgument
}

/// A plug-in's array, nothing for a count of zero.
///
/// - Throws: `EINVAL` for a null pointer to something and for more than `limit`.
func copyArray<T: BitwiseCopyable>(
  _ pointer: UnsafePointer<T>?, _ count: UInt32, limit: UInt32
) throws(Errno) -> [T] {
  if count == 0 { return [] }
  guard let pointer, count <= limit else { throw .invalidArgument }
  // SAFETY: the plug-in promises so many there.
  return Array(UnsafeBufferPointer(start: pointer, count: Int(count)))
}

/// The name of a bus or a model.
func isIdentifier(_ name: String) -> Bool {
  let isLetter = { (byte: UInt8) in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
  return (1...32).contains(name.utf8.count) && name.utf8.allSatisfy(isLetter)
}

/// The name of a device: it may become one of a directory.
func isDeviceName(_ name: String) -> Bool {
  (1...64).contains(name.utf8.count) && name != "." && name != ".."
    && name.unicodeScalars.allSatisfy { scalar in
      scalar != "/" && scalar.properties.generalCategory != .control
    }
}
