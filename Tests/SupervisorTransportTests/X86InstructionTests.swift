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

  /// Runs `code` with rbx at `place` and what else `set` says.
  private func run(
    _ code: [UInt8], memory: UInt64 = 0, _ set: (inout X86Registers) -> Void = { _ in }
  ) throws -> (registers: X86Registers, log: [String]) {
    var registers = X86Registers()
    registers.general[3] = place
    registers.rip = 0x40_0000
    set(&registers)
    var space = Memory(words: [place: memory])
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

  @Test func whatIsNotEmulated() {
    // mov %eax,%ebx has no memory operand; movups (%rbx),%xmm0; push (%rbx); a part of an instruction.
    for code: [UInt8] in [[0x89, 0xc3], [0x0f, 0x10, 0x03], [0xff, 0x33], [0x8b], []] {
      #expect(X86Instruction(code) == nil)
    }
  }
}
