/// Memory as an instruction accesses it, 1 to 8 bytes at a time.
protocol X86Memory {
  mutating func load(_ address: UInt64, _ width: Int) throws -> UInt64
  mutating func store(_ address: UInt64, _ width: Int, _ value: UInt64) throws
}

extension X86Instruction {
  /// How many times a repeated instruction is carried out at most, before others get a turn.
  private static let turns = 256

  /// Carries the instruction out, and goes on to the next one.
  func run(_ registers: inout X86Registers, _ memory: inout some X86Memory) throws {
    switch operation {
    case .moveString, .storeString: return try runString(&registers, &memory)
    default: break
    }
    let place = address.value(registers, length: length)
    switch operation {
    case .load(let register, let target, let signed):
      var value = try memory.load(place, width)
      if signed { value = extended(value) }
      registers.set(register, target, hasREX: hasREX, value)
    case .store(let source):
      try memory.store(place, width, value(source, registers))
    case .exchange(let register):
      let old = try memory.load(place, width)
      try memory.store(place, width, registers.value(register, width, hasREX: hasREX))
      registers.set(register, width, hasREX: hasREX, old)
    case .arithmetic(let arithmetic, let other, let intoMemory):
      let inMemory = try memory.load(place, width)
      let outside = value(other, registers)
      let (a, b) = intoMemory ? (inMemory, outside) : (outside, inMemory)
      let result = compute(arithmetic, a, b, &registers.flags)
      if arithmetic == .cmp || arithmetic == .test { break }
      if intoMemory {
        try memory.store(place, width, result)
      } else if case .register(let register) = other {
        registers.set(register, width, hasREX: hasREX, result)
      }
    case .not:
      try memory.store(place, width, ~memory.load(place, width) & mask)
    case .negate:
      let old = try memory.load(place, width)
      try memory.store(place, width, compute(.sub, 0, old, &registers.flags))
    case .increment, .decrement:
      let carry = registers.flags & Flag.carry
      let old = try memory.load(place, width)
      let new = compute(operation == .increment ? .add : .sub, old, 1, &registers.flags)
      registers.flags = registers.flags & ~Flag.carry | carry
      try memory.store(place, width, new)
    case .bit(let number, let change):
      let old = try memory.load(place, width)
      let bit: UInt64 = 1 << UInt64(number)
      registers.flags = registers.flags & ~Flag.carry | (old & bit != 0 ? Flag.carry : 0)
      switch change {
      case .none: break
      case .set: try memory.store(place, width, old | bit)
      case .clear: try memory.store(place, width, old & ~bit)
      case .invert: try memory.store(place, width, old ^ bit)
      }
    case .loadVector(let vector):
      try load(vector, place, &registers.vectors, &memory)
    case .storeVector(let vector):
      try store(vector, place, registers.vectors, &memory)
    case .moveString, .storeString: break
    }
    registers.rip &+= UInt64(length)
  }

  private func runString(_ registers: inout X86Registers, _ memory: inout some X86Memory) throws {
    let step =
      registers.flags & X86Registers.direction == 0 ? UInt64(width) : 0 &- UInt64(width)
    for _ in 0..<(repeats ? Self.turns : 1) {
      if repeats, registers.general[X86Registers.rcx] == 0 { break }
      if operation == .moveString {
        let value = try memory.load(registers.general[X86Registers.rsi], width)
        try memory.store(registers.general[X86Registers.rdi], width, value)
        registers.general[X86Registers.rsi] &+= step
      } else {
        let value = registers.general[X86Registers.rax] & mask
        try memory.store(registers.general[X86Registers.rdi], width, value)
      }
      registers.general[X86Registers.rdi] &+= step
      if repeats { registers.general[X86Registers.rcx] &-= 1 }
    }
    // What is left, the processor tries again, and we get another turn.
    if repeats, registers.general[X86Registers.rcx] != 0 { return }
    registers.rip &+= UInt64(length)
  }

  // MARK: - Values

  private var mask: UInt64 { X86Registers.mask(width) }
  private var sign: UInt64 { 1 << (8 * UInt64(width) - 1) }

  private func extended(_ value: UInt64) -> UInt64 {
    value & sign == 0 ? value : value | ~mask
  }

  private func value(_ operand: Operand, _ registers: X86Registers) -> UInt64 {
    switch operand {
    case .register(let number): registers.value(number, width, hasREX: hasREX)
    case .immediate(let value): value & mask
    }
  }

  private enum Flag {
    static let carry: UInt64 = 1 << 0
    static let parity: UInt64 = 1 << 2
    static let adjust: UInt64 = 1 << 4
    static let zero: UInt64 = 1 << 6
    static let sign: UInt64 = 1 << 7
    static let overflow: UInt64 = 1 << 11
    static let all = carry | parity | adjust | zero | sign | overflow
  }

  private func compute(
    _ arithmetic: Arithmetic, _ a: UInt64, _ b: UInt64, _ flags: inout UInt64
  ) -> UInt64 {
    let carryIn = flags & Flag.carry
    var carry = false
    var overflow = false
    var adjust = false
    let result: UInt64
    switch arithmetic {
    case .or: result = a | b
    case .and, .test: result = a & b
    case .xor: result = a ^ b
    case .add, .adc:
      let more = arithmetic == .adc ? carryIn : 0
      result = (a &+ b &+ more) & mask
      carry = result < a || more != 0 && result == a
      overflow = ~(a ^ b) & (a ^ result) & sign != 0
      adjust = (a ^ b ^ result) & 0x10 != 0
    case .sub, .cmp, .sbb:
      let less = arithmetic == .sbb ? carryIn : 0
      result = (a &- b &- less) & mask
      carry = a < b || less != 0 && a == b
      overflow = (a ^ b) & (a ^ result) & sign != 0
      adjust = (a ^ b ^ result) & 0x10 != 0
    }
    flags &= ~Flag.all
    if carry { flags |= Flag.carry }
    if overflow { flags |= Flag.overflow }
    if adjust { flags |= Flag.adjust }
    if result == 0 { flags |= Flag.zero }
    if result & sign != 0 { flags |= Flag.sign }
    if UInt8(truncatingIfNeeded: result).nonzeroBitCount % 2 == 0 { flags |= Flag.parity }
    return result
  }
}
