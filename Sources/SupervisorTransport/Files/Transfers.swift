import CLinux
import ClientAccess
import Glibc
import SystemPackage
import VFIOCore

/// read, write and their relatives on our files.
struct Transfers: Sendable {
  /// A longer transfer is a short one, as the system call allows.
  private static let limit = 1 << 20
  private static let vectorLimit: UInt64 = 1024

  let calls: FileCalls

  private struct Piece {
    var address: ClientAddress
    var count: Int
  }

  private enum Place {
    case at(UInt64)
    case position
  }

  func read(_ call: Call) {
    transfer(call, isWrite: false, one(call), .position)
  }

  func write(_ call: Call) {
    transfer(call, isWrite: true, one(call), .position)
  }

  func pread(_ call: Call, isWrite: Bool) {
    transfer(call, isWrite: isWrite, one(call), .at(call.argument3))
  }

  func readv(_ call: Call, isWrite: Bool) {
    transfer(call, isWrite: isWrite, many(call), .position)
  }

  /// preadv, pwritev; with `hasFlags` preadv2, pwritev2, which can mean the position too.
  func preadv(_ call: Call, isWrite: Bool, hasFlags: Bool = false) {
    let place = hasFlags && call.argument3 == .max ? Place.position : .at(call.argument3)
    transfer(call, isWrite: isWrite, many(call), place)
  }

  /// As of a character device, which has no size (fs/read_write.c, `default_llseek`).
  func lseek(_ call: Call) {
    guard let open = calls.file(call, call.argument0) else { return }
    let offset = Int64(bitPattern: call.argument1)
    do throws(Errno) {
      guard open.file.hasPosition else { throw .illegalSeek }
      let position = try open.position.withLock { position throws(Errno) in
        switch Call.int(call.argument2) {
        case SEEK_SET, SEEK_END: try Self.move(&position, from: 0, by: offset)
        case SEEK_CUR: try Self.move(&position, from: Int64(position), by: offset)
        case 3, 4: throw .noSuchAddressOrDevice  // SEEK_DATA, SEEK_HOLE
        default: throw .invalidArgument
        }
        return position
      }
      call.answer(Int64(position))
    } catch {
      call.fail(error)
    }
  }

  private static func move(
    _ position: inout UInt64, from start: Int64, by offset: Int64
  ) throws(Errno) {
    let (sum, overflow) = start.addingReportingOverflow(offset)
    guard !overflow, let target = UInt64(exactly: sum) else { throw .invalidArgument }
    position = target
  }

  // MARK: Where from and where to

  private func one(_ call: Call) -> () throws(Errno) -> [Piece] {
    { () throws(Errno) in
      [Piece(address: ClientAddress(call.argument1), count: try Self.clamped(call.argument2))]
    }
  }

  private func many(_ call: Call) -> () throws(Errno) -> [Piece] {
    { () throws(Errno) in
      guard call.argument2 <= Self.vectorLimit else { throw .invalidArgument }
      var pieces: [Piece] = []
      var room = Self.limit
      for i in 0..<call.argument2 {
        // struct iovec: an address and a length.
        var vector = SIMD2<UInt64>()
        guard let address = ClientAddress(call.argument1).advanced(by: i * 16) else {
          throw .badAddress
        }
        try Self.load(&vector, call.thread, address)
        let count = min(room, try Self.clamped(vector.y))
        pieces.append(Piece(address: ClientAddress(vector.x), count: count))
        room -= count
      }
      return pieces
    }
  }

  /// - Throws: `EINVAL` for what is negative to the kernel (`rw_verify_area` of fs/read_write.c).
  private static func clamped(_ count: UInt64) throws(Errno) -> Int {
    guard count <= UInt64(Int64.max) else { throw .invalidArgument }
    return Int(min(count, UInt64(limit)))
  }

  private static func load(
    _ value: inout SIMD2<UInt64>, _ thread: ClientThread, _ address: ClientAddress
  ) throws(Errno) {
    try withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
      // SAFETY: the bytes are those of `value`, where any pattern is a value.
      try thread.read(address, into: bytes)
    }
  }

  // MARK: Carrying it out

  private func transfer(
    _ call: Call, isWrite: Bool, _ pieces: () throws(Errno) -> [Piece], _ place: Place
  ) {
    guard let open = calls.file(call, call.argument0) else { return }
    do throws(Errno) {
      guard isWrite ? open.isWritable : open.isReadable else { throw .badFileDescriptor }
      let pieces = try pieces()
      if isWrite, let attribute = open.file as? AttributeFile, attribute.takesWholeWrites {
        return try act(call, attribute, pieces)
      }
      switch place {
      case .at(let offset):
        call.answer(Int64(try move(open.file, call.thread, isWrite, pieces, offset)))
      case .position:
        let offset = open.position.withLock { $0 }
        let n = try move(open.file, call.thread, isWrite, pieces, offset)
        open.position.withLock { $0 = offset + UInt64(n) }
        call.answer(Int64(n))
      }
    } catch {
      call.fail(error)
    }
  }

  /// A write to a file of /sys, whose answer can take its time.
  private func act(_ call: Call, _ attribute: AttributeFile, _ pieces: [Piece]) throws(Errno) {
    var bytes: [UInt8] = []
    for piece in pieces { bytes += try Self.bytes(of: piece, call.thread) }
    if let answer = try attribute.act(bytes) {
      calls.wait(for: answer, call)
    } else {
      call.answer(Int64(bytes.count))
    }
  }

  private static func bytes(of piece: Piece, _ thread: ClientThread) throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: piece.count)
    try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      // SAFETY: the array's own storage, for the length of the call.
      try thread.read(piece.address, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return bytes
  }

  private func move(
    _ file: any VFIOFile, _ thread: ClientThread, _ isWrite: Bool, _ pieces: [Piece],
    _ offset: UInt64
  ) throws(Errno) -> Int {
    if offset > UInt64(Int64.max) { throw .invalidArgument }
    let total = pieces.reduce(0) { $0 + $1.count }
    return try withUnsafeTemporaryAllocation(byteCount: max(total, 1), alignment: 16) {
      buffer throws(Errno) in
      let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<total])
      if isWrite {
        try Self.forEach(pieces, in: bytes) { piece, part throws(Errno) in
          try thread.read(piece, into: part)
        }
        return try file.write(at: offset, from: UnsafeRawBufferPointer(bytes))
      }
      let n = try file.read(at: offset, into: bytes)
      // SAFETY: what the file gives lies within the buffer that it was given.
      let filled = UnsafeMutableRawBufferPointer(rebasing: bytes[..<min(n, total)])
      try Self.forEach(pieces, in: filled) { piece, part throws(Errno) in
        try thread.write(piece, from: UnsafeRawBufferPointer(part))
      }
      return filled.count
    }
  }

  /// Calls `body` with each piece and the bytes of the buffer that belong to it.
  private static func forEach(
    _ pieces: [Piece], in buffer: UnsafeMutableRawBufferPointer,
    _ body: (ClientAddress, UnsafeMutableRawBufferPointer) throws(Errno) -> Void
  ) throws(Errno) {
    var start = 0
    for piece in pieces where start < buffer.count {
      let end = min(start + piece.count, buffer.count)
      // SAFETY: both lie within the buffer.
      try body(piece.address, UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end]))
      start = end
    }
  }
}
