import ClientAccess
import Glibc
import SystemPackage

/// FUSE's retry protocol for ioctl arguments: the kernel copies named ranges in and out, and calls again.
///
/// The ioctl runs anew on each call. What it reads is there from the second call on; a range that is
/// missing ends the run before it has had an effect, since arguments are read first.
final class RetryExchange {
  private struct Piece {
    var range: Range<UInt64>

    init?(_ address: ClientAddress, _ count: Int) {
      guard let end = address.advanced(by: UInt64(count)) else { return nil }
      range = address.rawValue..<end.rawValue
    }

    var vector: iovec {
      iovec(
        iov_base: UnsafeMutableRawPointer(bitPattern: UInt(range.lowerBound)),
        iov_len: range.count)
    }
  }

  private var inputs: [Piece] = []
  private var outputs: [Piece] = []
  private var input: [UInt8] = []
  private(set) var output: [UInt8] = []
  /// Whether the last run named a range that the kernel has to copy first.
  private(set) var isIncomplete = false

  /// The next call: `data` is what the kernel copied from the ranges named so far.
  ///
  /// - Returns: false when it is not the answer to what was asked.
  func resume(_ data: UnsafeRawBufferPointer, outputSize: Int) -> Bool {
    guard data.count == inputs.reduce(0, { $0 + $1.range.count }),
      outputSize == outputs.reduce(0, { $0 + $1.range.count })
    else { return false }
    input = Array(data)
    output = Array(repeating: 0, count: outputSize)
    isIncomplete = false
    return true
  }

  var inputVectors: [iovec] { inputs.map(\.vector) }
  var outputVectors: [iovec] { outputs.map(\.vector) }

  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) {
    guard let piece = Piece(address, buffer.count) else { throw .badAddress }
    guard let offset = Self.offset(of: piece, in: inputs), offset + buffer.count <= input.count
    else {
      inputs.append(piece)
      isIncomplete = true
      throw .badAddress
    }
    buffer.copyBytes(from: input[offset..<offset + buffer.count])
  }

  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    guard let piece = Piece(address, buffer.count) else { throw .badAddress }
    guard let offset = Self.offset(of: piece, in: outputs), offset + buffer.count <= output.count
    else {
      outputs.append(piece)
      isIncomplete = true
      throw .badAddress
    }
    output.replaceSubrange(offset..<offset + buffer.count, with: buffer)
  }

  /// Where the piece's bytes stand among those of `pieces`, laid end to end.
  private static func offset(of piece: Piece, in pieces: [Piece]) -> Int? {
    var start = 0
    for other in pieces {
      if other.range.lowerBound <= piece.range.lowerBound,
        piece.range.upperBound <= other.range.upperBound
      {
        return start + Int(piece.range.lowerBound - other.range.lowerBound)
      }
      start += other.range.count
    }
    return nil
  }
}
