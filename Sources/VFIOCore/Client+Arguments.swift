import ClientAccess
import SystemPackage
import VFIOABI

extension Client {
  /// Copies a structure in, as much of it as the ABI has, and checks its `argsz`.
  ///
  /// - Throws: `EFAULT` for a bad pointer, `EINVAL` for an `argsz` below the structure's size.
  func argument<T: SizedArgument>(_ type: T.Type, at address: UInt64) throws(Errno) -> T {
    var value = T()
    try load(&value, from: ClientAddress(address))
    guard value.isComplete else { throw .invalidArgument }
    return value
  }

  /// Copies `value` in from `offset` bytes into a structure.
  ///
  /// - Throws: `EFAULT` for a bad pointer.
  func load(
    _ value: inout some BitwiseCopyable, at address: UInt64, offset: Int
  ) throws(Errno) {
    guard let place = ClientAddress(address).advanced(by: UInt64(offset)) else {
      throw .badAddress
    }
    try load(&value, from: place)
  }

  /// Copies `count` numbers in from `offset` bytes into a structure.
  ///
  /// - Throws: `EFAULT` for a bad pointer.
  func array<Number: FixedWidthInteger & BitwiseCopyable>(
    _ count: Int, at address: UInt64, offset: Int
  ) throws(Errno) -> [Number] {
    guard let place = ClientAddress(address).advanced(by: UInt64(offset)) else {
      throw .badAddress
    }
    if count == 0 { return [] }
    var numbers = [Number](repeating: 0, count: count)
    try numbers.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      // SAFETY: the array's own storage, for the length of the call.
      try read(place, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return numbers
  }

  /// Copies bytes out, to `offset` bytes into a structure.
  ///
  /// - Throws: `EFAULT` for a bad pointer.
  func store(_ bytes: [UInt8], at address: UInt64, offset: Int) throws(Errno) {
    guard let place = ClientAddress(address).advanced(by: UInt64(offset)) else {
      throw .badAddress
    }
    try bytes.withUnsafeBufferPointer { buffer throws(Errno) in
      // SAFETY: the array's own storage, for the length of the call.
      try write(place, from: UnsafeRawBufferPointer(buffer))
    }
  }

  /// Copies a NUL-terminated string in, of at most a page with its NUL.
  ///
  /// Goes page by page, so that nothing is touched beyond the page that the NUL is in.
  ///
  /// - Throws: `EFAULT` when the string runs into memory that cannot be read, `EINVAL` when it is longer.
  func string(at address: UInt64) throws(Errno) -> String {
    let limit = Draft2011.pageSize
    var bytes: [UInt8] = []
    while bytes.count < limit {
      guard let next = ClientAddress(address).advanced(by: UInt64(bytes.count)) else {
        throw .badAddress
      }
      let toPageEnd = Draft2011.pageSize - next.rawValue % Draft2011.pageSize
      let piece = try loadBytes(Int(min(toPageEnd, limit - UInt64(bytes.count))), from: next)
      if let end = piece.firstIndex(of: 0) {
        return String(decoding: bytes + piece[..<end], as: UTF8.self)
      }
      bytes += piece
    }
    throw .invalidArgument
  }
}

extension ArgumentFlags {
  /// - Throws: `EINVAL` when bits outside `known` are set.
  func check(knowing known: Self) throws(Errno) {
    if !isSubset(of: known) { throw .invalidArgument }
  }
}
