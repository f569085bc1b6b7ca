/// Moves between memory and vector registers: SSE's, AVX's and AVX-512's.
extension X86Decoder {
  private typealias Vector = X86Instruction.VectorOperand

  /// The prefix that is a part of the opcode.
  private enum Selector: UInt8 {
    case none, x66, xf3, xf2
  }

  /// A vector instruction's bytes before its opcode, in all three encodings.
  private struct Encoding {
    var selector: Selector
    var isLegacy = false
    /// Bytes of the whole vector.
    var length = 16
    var isWide = false
    var mask = 0
    var zeroesMasked = false
    /// Whether a displacement of one byte counts elements.
    var isCompressed = false
    /// What to add to the register's number.
    var high = 0
  }

  // MARK: - Encodings

  /// An opcode after 0x0f.
  mutating func legacyVector(_ opcode: UInt8) -> X86Instruction? {
    let selector: Selector =
      isRepeatedUnequal ? .xf2 : isRepeated ? .xf3 : has66 ? .x66 : .none
    let encoding = Encoding(selector: selector, isLegacy: true, isWide: rex & 8 != 0)
    // MOVNTDQA has three bytes.
    guard opcode == 0x38 else { return move(opcode, encoding, isThirdMap: false) }
    return next().flatMap { move($0, encoding, isThirdMap: true) }
  }

  /// VEX and EVEX.
  mutating func vectorInstruction(_ prefix: UInt8) -> X86Instruction? {
    guard let first = next() else { return nil }
    var encoding = Encoding(selector: .none)
    var map: UInt8 = 1
    switch prefix {
    case 0xc5:
      rex = ~first >> 5 & 4
      readLast(first, &encoding)
    default:
      guard let second = next() else { return nil }
      map = first & (prefix == 0x62 ? 7 : 0x1f)
      // The inverse of R, X and B, which are in REX's order; then W.
      rex = ~first >> 5 & 7 | second >> 4 & 8
      encoding.isWide = second & 0x80 != 0
      readLast(second, &encoding)
      if prefix == 0x62 {
        guard second & 4 != 0, let third = next(), third & 0x18 == 8, third >> 5 & 3 < 3 else {
          return nil
        }
        encoding.length = 16 << Int(third >> 5 & 3)
        encoding.mask = Int(third & 7)
        encoding.zeroesMasked = third & 0x80 != 0
        encoding.isCompressed = true
        encoding.high = first & 0x10 == 0 ? 16 : 0
      }
      if prefix == 0x62, second & 0x78 != 0x78 { return nil }
    }
    guard map == 1 || map == 2, let opcode = next() else { return nil }
    return move(opcode, encoding, isThirdMap: map == 2)
  }

  /// L and the selector, which end both forms of VEX; in EVEX L is elsewhere.
  private func readLast(_ byte: UInt8, _ encoding: inout Encoding) {
    encoding.length = byte & 4 != 0 ? 32 : 16
    encoding.selector = Selector(rawValue: byte & 3) ?? .none
  }

  // MARK: - Opcodes

  private mutating func move(
    _ opcode: UInt8, _ encoding: Encoding, isThirdMap: Bool
  ) -> X86Instruction? {
    let selector = encoding.selector
    let isLoad: Bool
    let width: Int
    var vector = Vector(number: 0)
    var isWhole = true
    switch (isThirdMap ? 0x3800 | Int(opcode) : Int(opcode), selector) {
    case (0x10, .none), (0x10, .x66), (0x28, .none), (0x28, .x66):
      (isLoad, width) = (true, encoding.length)
      vector.element = selector == .none ? 4 : 8
    case (0x11, .none), (0x11, .x66), (0x29, .none), (0x29, .x66), (0x2b, .none), (0x2b, .x66):
      (isLoad, width) = (false, encoding.length)
      vector.element = selector == .none ? 4 : 8
    case (0x6f, .x66), (0x6f, .xf3):
      (isLoad, width) = (true, encoding.length)
      vector.element = encoding.isWide ? 8 : 4
    case (0x7f, .x66), (0x7f, .xf3):
      (isLoad, width) = (false, encoding.length)
      vector.element = encoding.isWide ? 8 : 4
    case (0x6f, .xf2) where encoding.isCompressed, (0x7f, .xf2) where encoding.isCompressed:
      (isLoad, width) = (opcode == 0x6f, encoding.length)
      vector.element = encoding.isWide ? 2 : 1
    case (0xe7, .x66): (isLoad, width) = (false, encoding.length)
    case (0x382a, .x66), (0xf0, .xf2): (isLoad, width) = (true, encoding.length)
    case (0x10, .xf3), (0x11, .xf3), (0x10, .xf2), (0x11, .xf2):
      (isLoad, width, isWhole) = (opcode == 0x10, selector == .xf3 ? 4 : 8, false)
      vector.element = width
    case (0x6e, .x66), (0x7e, .x66):
      (isLoad, width, isWhole) = (opcode == 0x6e, encoding.isWide ? 8 : 4, false)
    case (0x7e, .xf3): (isLoad, width, isWhole) = (true, 8, false)
    case (0xd6, .x66): (isLoad, width, isWhole) = (false, 8, false)
    case (0x12, .none), (0x12, .x66), (0x13, .none), (0x13, .x66),
      (0x16, .none), (0x16, .x66), (0x17, .none), (0x17, .x66):
      (isLoad, width, isWhole) = (opcode & 1 == 0, 8, false)
      // Those of AVX merge with another register.
      if isLoad, !encoding.isLegacy { return nil }
      vector.start = opcode >= 0x16 ? 8 : 0
    default: return nil
    }
    guard operand() != nil else { return nil }
    if encoding.isCompressed, modRM >> 6 == 1 { address.displacement &*= UInt64(width) }
    vector.number = register + encoding.high
    vector.mask = encoding.mask
    let isPartial = opcode == 0x12 || opcode == 0x16
    if isLoad {
      vector.clearing =
        if !encoding.isLegacy {
          encoding.mask != 0 && !encoding.zeroesMasked ? .allButMasked : .all
        } else if isWhole || isPartial {
          .none
        } else {
          .low
        }
    }
    return make(isLoad ? .loadVector(vector) : .storeVector(vector), width)
  }
}
