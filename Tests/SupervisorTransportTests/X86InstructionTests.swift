import Testing

@testable import SupervisorTransport

/// Instructions as compilers make them for accesses to registers, and what each does.
@Suite struct X86InstructionTests {
  private struct Memory: X86Memory {
    var words: [UInt64: UInt64] = [:]
    var log: [String] = []

    mutating func load(_ address: UInt64, _ width: Int) -> UInt64 {
      log.append("load \(address) \(width)")
      return words[address, default: 0] & X86Registers.mask(width)
    }

    mutating func store(_ address: UInt64, _ width: Int, _ value: UInt64) {
      log.append("store \(address) \(width) \(value)")
      words[address] = value
    }
  }

  private let place: UInt64 = 0x1000
  private let first: UInt64 = 0x1111_1111_1111_1111
  private let second: UInt64 = 0x2222_2222_2222_2222

  /// Runs `code` with rbx at `place` and what else `set` says.
  private func run(
    _ code: [UInt8], memory: UInt64 = 0, _ set: (inout X86Registers) -> Void = { _ in }
  ) throws -> (registers: X86Registers, log: [String]) {
    var registers = X86Registers()
    registers.general[3] = place
    registers.rip = 0x40_0000
    set(&registers)
    var space = Memory(words: [place: memory, place + 8: second])
    let instruction = try #require(X86Instruction(code + [0x90, 0x90]))
    #expect(instruction.length == code.count)
    try instruction.run(&registers, &space)
    return (registers, space.log)
  }

  @Test func loads() throws {
    // mov (%rbx),%eax clears the upper half.
    var (r, log) = try run([0x8b, 0x03], memory: 0xdead_beef) { $0.general[0] = .max }
    #expect(r.general[0] == 0xdead_beef)
    #expect(r.rip == 0x40_0002)
    #expect(log == ["load 4096 4"])
    // mov (%rbx),%r9
    (r, _) = try run([0x4c, 0x8b, 0x0b], memory: .max)
    #expect(r.general[9] == .max)
    // mov (%rbx),%ah keeps the rest.
    (r, _) = try run([0x8a, 0x23], memory: 0x77) { $0.general[0] = 0x1111 }
    #expect(r.general[0] == 0x7711)
    // mov (%rbx),%ax
    (r, _) = try run([0x66, 0x8b, 0x03], memory: 0x1234_5678) { $0.general[0] = .max }
    #expect(r.general[0] == 0xffff_ffff_ffff_5678)
    // movzbl (%rbx),%eax; movsbl; movswq; movslq
    (r, log) = try run([0x0f, 0xb6, 0x03], memory: 0xff)
    #expect(r.general[0] == 0xff)
    #expect(log == ["load 4096 1"])
    (r, _) = try run([0x0f, 0xbe, 0x03], memory: 0x80)
    #expect(r.general[0] == 0xffff_ff80)
    (r, _) = try run([0x48, 0x0f, 0xbf, 0x03], memory: 0x8000)
    #expect(r.general[0] == 0xffff_ffff_ffff_8000)
    (r, _) = try run([0x48, 0x63, 0x03], memory: 0x8000_0000)
    #expect(r.general[0] == 0xffff_ffff_8000_0000)
  }

  @Test func stores() throws {
    // mov %eax,(%rbx)
    var (_, log) = try run([0x89, 0x03]) { $0.general[0] = 0x1_2345_6789 }
    #expect(log == ["store 4096 4 591751049"])
    // movl $0x12345678,0x4(%rbx)
    (_, log) = try run([0xc7, 0x43, 0x04, 0x78, 0x56, 0x34, 0x12])
    #expect(log == ["store 4100 4 305419896"])
    // movq $-1,(%rbx); movb $7,(%rbx)
    (_, log) = try run([0x48, 0xc7, 0x03, 0xff, 0xff, 0xff, 0xff])
    #expect(log == ["store 4096 8 \(UInt64.max)"])
    (_, log) = try run([0xc6, 0x03, 0x07])
    #expect(log == ["store 4096 1 7"])
    // movnti %eax,(%rbx)
    (_, log) = try run([0x0f, 0xc3, 0x03]) { $0.general[0] = 9 }
    #expect(log == ["store 4096 4 9"])
  }

  @Test func addresses() throws {
    // mov 0x8(%rbx,%rcx,4),%eax
    var (_, log) = try run([0x8b, 0x44, 0x8b, 0x08]) { $0.general[1] = 2 }
    #expect(log == ["load 4112 4"])
    // mov -0x10(%rbx),%eax
    (_, log) = try run([0x8b, 0x43, 0xf0])
    #expect(log == ["load 4080 4"])
    // mov 0x100(%rip),%eax counts from the next instruction.
    (_, log) = try run([0x8b, 0x05, 0x00, 0x01, 0x00, 0x00])
    #expect(log == ["load \(0x40_0106) 4"])
    // mov 0x1000,%eax without a base; mov (%r12),%eax needs a SIB byte.
    (_, log) = try run([0x8b, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00])
    #expect(log == ["load 4096 4"])
    (_, log) = try run([0x41, 0x8b, 0x04, 0x24]) { $0.general[12] = 0x2000 }
    #expect(log == ["load 8192 4"])
    // mov %fs:(%rbx),%eax
    (_, log) = try run([0x64, 0x8b, 0x03]) { $0.fsBase = 0x10000 }
    #expect(log == ["load 69632 4"])
  }

  @Test func arithmetic() throws {
    let (carry, zero, sign): (UInt64, UInt64, UInt64) = (1, 1 << 6, 1 << 7)
    // testb $1,(%rbx)
    var (r, log) = try run([0xf6, 0x03, 0x01], memory: 2)
    #expect(r.flags & zero != 0)
    #expect(log == ["load 4096 1"])
    // test %eax,(%rbx)
    (r, _) = try run([0x85, 0x03], memory: 0x8000_0000) { $0.general[0] = 0x8000_0000 }
    #expect(r.flags & (zero | sign) == sign)
    // cmpl $5,(%rbx); cmp (%rbx),%eax
    (r, _) = try run([0x83, 0x3b, 0x05], memory: 3)
    #expect(r.flags & (carry | zero | sign) == carry | sign)
    (r, _) = try run([0x3b, 0x03], memory: 3) { $0.general[0] = 3 }
    #expect(r.flags & zero != 0)
    // orl $4,(%rbx); and %eax,(%rbx)
    (_, log) = try run([0x83, 0x0b, 0x04], memory: 1)
    #expect(log == ["load 4096 4", "store 4096 4 5"])
    (_, log) = try run([0x21, 0x03], memory: 7) { $0.general[0] = 5 }
    #expect(log == ["load 4096 4", "store 4096 4 5"])
    // add (%rbx),%eax
    (r, log) = try run([0x03, 0x03], memory: 7) { $0.general[0] = 0xffff_ffff }
    #expect(r.general[0] == 6)
    #expect(r.flags & carry != 0)
    #expect(log == ["load 4096 4"])
    // incl (%rbx) leaves the carry; negl; notl; btsl $3
    (r, log) = try run([0xff, 0x03], memory: 7) { $0.flags = carry }
    #expect(log == ["load 4096 4", "store 4096 4 8"])
    #expect(r.flags & carry != 0)
    (_, log) = try run([0xf7, 0x1b], memory: 1)
    #expect(log == ["load 4096 4", "store 4096 4 4294967295"])
    (_, log) = try run([0xf7, 0x13], memory: 0)
    #expect(log == ["load 4096 4", "store 4096 4 4294967295"])
    (r, log) = try run([0x0f, 0xba, 0x2b, 0x03], memory: 0)
    #expect(log == ["load 4096 4", "store 4096 4 8"])
    #expect(r.flags & carry == 0)
    // xchg %eax,(%rbx)
    (r, log) = try run([0x87, 0x03], memory: 7) { $0.general[0] = 9 }
    #expect(r.general[0] == 7)
    #expect(log == ["load 4096 4", "store 4096 4 9"])
  }

  @Test func strings() throws {
    // rep stosl
    var (r, log) = try run([0xf3, 0xab]) {
      $0.general[1] = 2
      $0.general[7] = 0x2000
      $0.general[0] = 5
    }
    #expect(log == ["store 8192 4 5", "store 8196 4 5"])
    #expect((r.general[1], r.general[7], r.rip) == (0, 0x2008, 0x40_0002))
    // movsb, backwards
    (r, log) = try run([0xa4], memory: 3) {
      $0.general[6] = 0x1000
      $0.general[7] = 0x2000
      $0.flags = X86Registers.direction
    }
    #expect(log == ["load 4096 1", "store 8192 1 3"])
    #expect((r.general[6], r.general[7]) == (0xfff, 0x1fff))
    // A long one takes several turns.
    (r, _) = try run([0xf3, 0xaa]) { $0.general[1] = 300 }
    #expect((r.general[1], r.rip) == (44, 0x40_0000))
  }

  /// The register that `code` loads, of ones before, by words; it is the `number`th.
  private func loaded(_ number: Int, _ code: [UInt8], mask: UInt64 = 0) throws -> [UInt64] {
    let registers = try run(code, memory: first) { registers in
      for byte in 0..<64 { registers.vectors[number, byte] = 0xff }
      registers.vectors.masks[1] = mask
    }
    return (0..<8).map { registers.registers.vectors.word(number, at: 8 * $0, width: 8) }
  }

  @Test func loadsOfVectors() throws {
    let (ones, none) = (UInt64.max, UInt64(0))
    // movups (%rbx),%xmm3; movdqu, movaps of xmm9; lddqu; movntdqa. Without VEX the rest stays.
    #expect(
      try loaded(3, [0x0f, 0x10, 0x1b]) == [first, second] + Array(repeating: ones, count: 6))
    for code: [UInt8] in [
      [0xf3, 0x44, 0x0f, 0x6f, 0x0b], [0x44, 0x0f, 0x28, 0x0b], [0xf2, 0x44, 0x0f, 0xf0, 0x0b],
      [0x66, 0x44, 0x0f, 0x38, 0x2a, 0x0b],
    ] {
      #expect(try loaded(9, code)[..<3] == [first, second, ones])
    }
    // movq, movsd; movd, movss clear the low 16 bytes.
    for code: [UInt8] in [[0xf3, 0x0f, 0x7e, 0x03], [0xf2, 0x0f, 0x10, 0x03]] {
      #expect(try loaded(0, code)[..<3] == [first, none, ones])
    }
    for code: [UInt8] in [[0x66, 0x0f, 0x6e, 0x03], [0xf3, 0x0f, 0x10, 0x03]] {
      #expect(try loaded(0, code)[..<3] == [first & 0xffff_ffff, none, ones])
    }
    // movlps, movhps load a half.
    #expect(try loaded(0, [0x0f, 0x12, 0x03])[..<3] == [first, ones, ones])
    #expect(try loaded(0, [0x0f, 0x16, 0x03])[..<3] == [ones, first, ones])
    // vmovdqu (%rbx),%xmm1; vmovdqa of ymm9; vmovq; vmovss clear all the rest.
    #expect(try loaded(1, [0xc5, 0xfa, 0x6f, 0x0b])[..<5] == [first, second, none, none, none])
    #expect(try loaded(9, [0xc5, 0x7d, 0x6f, 0x0b])[..<5] == [first, second, none, none, none])
    #expect(try loaded(1, [0xc5, 0xfa, 0x7e, 0x0b])[..<3] == [first, none, none])
    #expect(try loaded(1, [0xc5, 0xfa, 0x10, 0x0b])[..<3] == [first & 0xffff_ffff, none, none])
    // vmovntdqa (%rbx),%ymm9, of the longer form of VEX.
    #expect(
      try loaded(9, [0xc4, 0x62, 0x7d, 0x2a, 0x0b])[..<5] == [first, second, none, none, none])
    // vmovdqu64 (%rbx),%zmm31
    let all = try loaded(31, [0x62, 0x61, 0xfe, 0x48, 0x6f, 0x3b])
    #expect(all == [first, second] + Array(repeating: none, count: 6))
  }

  @Test func masksOfVectors() throws {
    let (ones, none) = (UInt64.max, UInt64(0))
    // vmovdqu64 (%rbx),%xmm9{%k1}, and {z}
    let merging: [UInt8] = [0x62, 0x71, 0xfe, 0x09, 0x6f, 0x0b]
    #expect(try loaded(9, merging, mask: 2)[..<4] == [ones, second, none, none])
    let zeroing: [UInt8] = [0x62, 0x71, 0xfe, 0x89, 0x6f, 0x0b]
    #expect(try loaded(9, zeroing, mask: 2)[..<4] == [none, second, none, none])
    #expect(try loaded(9, zeroing, mask: 0)[..<4] == [none, none, none, none])
    // vmovdqu8 %xmm2,(%rbx){%k1}: whole words at once, single bytes else, nothing of the others.
    let (_, log) = try run([0x62, 0xf1, 0x7f, 0x09, 0x7f, 0x13]) { registers in
      registers.vectors.set(2, at: 0, width: 8, first)
      registers.vectors.set(2, at: 8, width: 8, second)
      registers.vectors.masks[1] = 0x84ff
    }
    #expect(log == ["store 4096 8 \(first)", "store 4106 1 34", "store 4111 1 34"])
  }

  @Test func storesOfVectors() throws {
    func stored(_ number: Int, _ code: [UInt8]) throws -> [String] {
      try run(code) { registers in
        for word in 0..<8 {
          registers.vectors.set(number, at: 8 * word, width: 8, UInt64(word) + 1)
        }
      }.log
    }
    // movups %xmm0,(%rbx); movdqa; movntdq
    for code: [UInt8] in [
      [0x0f, 0x11, 0x03], [0x66, 0x0f, 0x7f, 0x03], [0x66, 0x0f, 0xe7, 0x03],
    ] {
      #expect(try stored(0, code) == ["store 4096 8 1", "store 4104 8 2"])
    }
    // movq; movd; movhps; movlps
    #expect(try stored(0, [0x66, 0x0f, 0xd6, 0x03]) == ["store 4096 8 1"])
    #expect(try stored(0, [0x66, 0x48, 0x0f, 0x7e, 0x03]) == ["store 4096 8 1"])
    #expect(try stored(0, [0x66, 0x0f, 0x7e, 0x03]) == ["store 4096 4 1"])
    #expect(try stored(0, [0x0f, 0x17, 0x03]) == ["store 4096 8 2"])
    #expect(try stored(0, [0x0f, 0x13, 0x03]) == ["store 4096 8 1"])
    // vmovups %ymm6,(%rbx)
    #expect(
      try stored(6, [0xc5, 0xfc, 0x11, 0x33])
        == ["store 4096 8 1", "store 4104 8 2", "store 4112 8 3", "store 4120 8 4"])
    // vmovdqu64 %zmm16,0x40(%rbx): a displacement of one byte counts vectors.
    let log = try stored(16, [0x62, 0xe1, 0xfe, 0x48, 0x7f, 0x43, 0x01])
    #expect(log.first == "store 4160 8 1")
    #expect(log.last == "store 4216 8 8")
    #expect(log.count == 8)
  }

  @Test func vectorsThatAreNotMoved() {
    // movq (%rbx),%mm0; vmovlps (%rbx),%xmm1,%xmm2 merges; vmovaps (%rbx){1to16} is none; half of EVEX.
    for code: [UInt8] in [
      [0x0f, 0x6f, 0x03], [0xc5, 0xf0, 0x12, 0x13], [0x62, 0xf1, 0x7c, 0x58, 0x28, 0x03],
      [0x62, 0xf1, 0x7c], [0xc5], [0xc4, 0x62],
    ] {
      #expect(X86Instruction(code) == nil)
    }
  }

  @Test func whatIsNotEmulated() {
    // mov %eax,%ebx has no memory operand; paddd (%rbx),%xmm0; push (%rbx); a part of an instruction.
    for code: [UInt8] in [[0x89, 0xc3], [0x66, 0x0f, 0xfe, 0x03], [0xff, 0x33], [0x8b], []] {
      #expect(X86Instruction(code) == nil)
    }
  }
}
