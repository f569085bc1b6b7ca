import CLinux
import SystemPackage

/// What ptrace(2) says of a thread's registers beyond the general ones: the processor's XSAVE area (Intel SDM
/// volume 1, chapter 13).
struct XState {
  private enum Component: UInt32, CaseIterable {
    case sse = 1
    /// Bytes 16 to 31 of the registers 0 to 15.
    case avx = 2
    case masks = 5
    /// Bytes 32 to 63 of the registers 0 to 15.
    case upper = 6
    /// Registers 16 to 31.
    case more = 7

    /// Where it is in the area, 0 where the processor has none.
    var offset: Int {
      // In the part that is older than XSAVE.
      self == .sse ? 160 : Int(cl_xstate_offset(rawValue))
    }
  }

  /// Where the area says which components are not as after power-on.
  private static let presence = 512
  private static let offsets = Dictionary(
    uniqueKeysWithValues: Component.allCases.map { ($0, $0.offset) })

  private var bytes: [UInt8]

  /// - Throws: what ptrace(2) says.
  init(of tid: Int32) throws(Errno) {
    bytes = [UInt8](repeating: 0, count: Int(CL_XSTATE_MOST))
    let count = bytes.withUnsafeMutableBytes { buffer in
      // SAFETY: the C side writes at most `count` bytes into the array's own storage.
      cl_ptrace_getxstate(tid, buffer.baseAddress, buffer.count)
    }
    try min(count, 0).checked()
    bytes.removeLast(bytes.count - Int(count))
  }

  /// - Throws: what ptrace(2) says.
  func store(to tid: Int32) throws(Errno) {
    let result = bytes.withUnsafeBytes { buffer in
      // SAFETY: the C side reads the array's own storage.
      cl_ptrace_setxstate(tid, buffer.baseAddress, buffer.count)
    }
    try result.checked()
  }

  /// Bytes of a register: which of the register, and where they are in the area.
  private func parts(of register: Int) -> [(Component, Range<Int>, Int)] {
    let parts: [(Component, Range<Int>, Int)] =
      register < 16
      ? [
        (.sse, 0..<16, register * 16), (.avx, 16..<32, register * 16),
        (.upper, 32..<64, register * 32),
      ] : [(.more, 0..<64, (register - 16) * 64)]
    return parts.compactMap { component, range, place in
      let offset = Self.offsets[component] ?? 0
      guard offset > 0, offset + place + range.count <= bytes.count else { return nil }
      return (component, range, offset + place)
    }
  }

  var vectors: X86Vectors {
    var vectors = X86Vectors()
    for register in 0..<32 {
      for (_, range, place) in parts(of: register) {
        for (i, byte) in range.enumerated() { vectors[register, byte] = bytes[place + i] }
      }
    }
    if let offset = Self.offsets[.masks], offset > 0, offset + 64 <= bytes.count {
      for mask in 0..<8 {
        for i in 0..<8 {
          vectors.masks[mask] |= UInt64(bytes[offset + 8 * mask + i]) << (8 * UInt64(i))
        }
      }
    }
    return vectors
  }

  mutating func set(_ register: Int, _ vectors: X86Vectors) {
    for (component, range, place) in parts(of: register) {
      for (i, byte) in range.enumerated() { bytes[place + i] = vectors[register, byte] }
      bytes[Self.presence] |= 1 << component.rawValue
    }
  }
}
