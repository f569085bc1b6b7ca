/// Reads one instruction from its bytes.
struct X86Decoder {
  let code: [UInt8]
  var at = 0
  var rex: UInt8 = 0
  var has66 = false
  private var has67 = false
  var isRepeated = false
  var isRepeatedUnequal = false
  private var segment = X86Instruction.Address.Segment.none
  var modRM: UInt8 = 0
  var address = X86Instruction.Address()

  init(_ code: [UInt8]) {
    self.code = code
  }

  mutating func decode() -> X86Instruction? {
    guard let opcode = prefixesAndOpcode() else { return nil }
    switch opcode {
    case 0x0f: return twoBytes()
    case 0x62, 0xc4, 0xc5: return vectorInstruction(opcode)
    default: return oneByte(opcode)
    }
  }

  // MARK: - Bytes

  mutating func next() -> UInt8? {
    guard at < code.count else { return nil }
    defer { at += 1 }
    return code[at]
  }

  /// A little-endian number, its sign extended.
  private mutating func signed(_ count: Int) -> UInt64? {
    guard at + count <= code.count else { return nil }
    var value: UInt64 = 0
    for i in 0..<count { value |= UInt64(code[at + i]) << (8 * UInt64(i)) }
    at += count
    let shift = 64 - 8 * UInt64(count)
    return UInt64(bitPattern: Int64(bitPattern: value << shift) >> Int64(shift))
  }

  private mutating func prefixesAndOpcode() -> UInt8? {
    while let byte = next() {
      switch byte {
      case 0x66: has66 = true
      case 0x67: has67 = true
      case 0xf2: isRepeatedUnequal = true
      case 0xf3: isRepeated = true
      case 0x64: segment = .fs
      case 0x65: segment = .gs
      case 0xf0, 0x2e, 0x36, 0x3e, 0x26: break
      case 0x40...0x4f:
        rex = byte
        return next()
      default: return byte
      }
    }
    return nil
  }

  private func width(_ opcode: UInt8) -> Int {
    opcode & 1 == 0 ? 1 : wideWidth
  }

  var wideWidth: Int { rex & 8 != 0 ? 8 : has66 ? 2 : 4 }
  var register: Int { Int(modRM >> 3 & 7) | (rex & 4 != 0 ? 8 : 0) }
  private var selector: Int { Int(modRM >> 3 & 7) }

  // MARK: - The memory operand

  /// - Returns: nil where the operand is a register.
  mutating func operand() -> Bool? {
    guard let byte = next(), byte >> 6 != 3 else { return nil }
    modRM = byte
    address.segment = segment
    address.is32Bit = has67
    let low = Int(byte & 7)
    if low == 4 {
      guard let sib = next() else { return nil }
      address.scale = 1 << UInt64(sib >> 6)
      let index = Int(sib >> 3 & 7) | (rex & 2 != 0 ? 8 : 0)
      if index != 4 { address.index = index }
      if sib & 7 != 5 || byte >> 6 != 0 { address.base = base(Int(sib & 7)) }
      if sib & 7 == 5, byte >> 6 == 0 { return displacement(4) }
    } else if low == 5, byte >> 6 == 0 {
      address.isRelative = true
      return displacement(4)
    } else {
      address.base = base(low)
    }
    switch byte >> 6 {
    case 1: return displacement(1)
    case 2: return displacement(4)
    default: return true
    }
  }

  private func base(_ low: Int) -> Int { low | (rex & 1 != 0 ? 8 : 0) }

  private mutating func displacement(_ count: Int) -> Bool? {
    guard let value = signed(count) else { return nil }
    address.displacement = value
    return true
  }

  func make(
    _ operation: X86Instruction.Operation, _ width: Int, repeats: Bool = false
  ) -> X86Instruction {
    X86Instruction(
      operation, width: width, length: at, hasREX: rex != 0, repeats: repeats, address: address)
  }

  // MARK: - Opcodes

  private mutating func oneByte(_ opcode: UInt8) -> X86Instruction? {
    let width = width(opcode)
    switch opcode {
    case 0x00...0x3f where opcode & 7 < 4:
      guard let operation = X86Instruction.Arithmetic(rawValue: Int(opcode >> 3)), operand() != nil
      else { return nil }
      return make(
        .arithmetic(operation, .register(register), intoMemory: opcode & 2 == 0), width)
    case 0x63:
      guard operand() != nil else { return nil }
      return make(.load(register, width: wideWidth, signed: true), 4)
    case 0x80, 0x81, 0x83:
      guard operand() != nil, let operation = X86Instruction.Arithmetic(rawValue: selector),
        let value = signed(opcode == 0x81 ? min(width, 4) : 1)
      else { return nil }
      return make(.arithmetic(operation, .immediate(value), intoMemory: true), width)
    case 0x84, 0x85:
      guard operand() != nil else { return nil }
      return make(.arithmetic(.test, .register(register), intoMemory: true), width)
    case 0x86, 0x87:
      guard operand() != nil else { return nil }
      return make(.exchange(register), width)
    case 0x88, 0x89:
      guard operand() != nil else { return nil }
      return make(.store(.register(register)), width)
    case 0x8a, 0x8b:
      guard operand() != nil else { return nil }
      return make(.load(register, width: width, signed: false), width)
    case 0xa0...0xa3:
      guard let place = signed(has67 ? 4 : 8) else { return nil }
      address.displacement = place
      address.segment = segment
      return make(
        opcode < 0xa2 ? .load(0, width: width, signed: false) : .store(.register(0)), width)
    case 0xa4, 0xa5: return make(.moveString, width, repeats: isRepeated || isRepeatedUnequal)
    case 0xaa, 0xab: return make(.storeString, width, repeats: isRepeated || isRepeatedUnequal)
    case 0xc6, 0xc7:
      guard operand() != nil, selector == 0, let value = signed(min(width, 4)) else { return nil }
      return make(.store(.immediate(value)), width)
    case 0xf6, 0xf7: return unary(width)
    case 0xfe, 0xff:
      guard operand() != nil, selector < 2 else { return nil }
      return make(selector == 0 ? .increment : .decrement, width)
    default: return nil
    }
  }

  private mutating func unary(_ width: Int) -> X86Instruction? {
    guard operand() != nil else { return nil }
    switch selector {
    case 0, 1:
      guard let value = signed(min(width, 4)) else { return nil }
      return make(.arithmetic(.test, .immediate(value), intoMemory: true), width)
    case 2: return make(.not, width)
    case 3: return make(.negate, width)
    default: return nil
    }
  }

  private mutating func twoBytes() -> X86Instruction? {
    guard let opcode = next() else { return nil }
    switch opcode {
    case 0xb6, 0xb7, 0xbe, 0xbf:
      guard operand() != nil else { return nil }
      return make(
        .load(register, width: wideWidth, signed: opcode >= 0xbe), opcode & 1 == 0 ? 1 : 2)
    case 0xba:
      guard operand() != nil, selector >= 4, let number = next(),
        let change = X86Instruction.BitChange(rawValue: selector - 4)
      else { return nil }
      return make(.bit(Int(number) % (8 * wideWidth), change), wideWidth)
    case 0xc3:  // MOVNTI
      guard operand() != nil else { return nil }
      return make(.store(.register(register)), wideWidth)
    default: return legacyVector(opcode)
    }
  }
}
