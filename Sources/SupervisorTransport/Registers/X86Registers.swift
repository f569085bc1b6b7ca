import CLinux

/// The registers of a thread.
struct X86Registers {
  /// In the order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
  var general = [UInt64](repeating: 0, count: 16)
  var rip: UInt64 = 0
  var flags: UInt64 = 0
  var fsBase: UInt64 = 0
  var gsBase: UInt64 = 0
  /// Set for instructions that want them.
  var vectors = X86Vectors()

  static let (rax, rcx, rsi, rdi) = (0, 1, 6, 7)
  static let direction: UInt64 = 1 << 10

  /// The low `width` bytes of a register. Without REX, bytes 4 to 7 are the second ones of 0 to 3.
  func value(_ number: Int, _ width: Int, hasREX: Bool) -> UInt64 {
    if width == 1, !hasREX, (4...7).contains(number) { return general[number - 4] >> 8 & 0xff }
    return general[number] & Self.mask(width)
  }

  /// Writes the low `width` bytes; a write of 4 clears the rest, a shorter one leaves it.
  mutating func set(_ number: Int, _ width: Int, hasREX: Bool, _ value: UInt64) {
    let value = value & Self.mask(width)
    switch width {
    case 8, 4: general[number] = value
    case 1 where !hasREX && (4...7).contains(number):
      general[number - 4] = general[number - 4] & ~0xff00 | value << 8
    default: general[number] = general[number] & ~Self.mask(width) | value
    }
  }

  /// The bits of so many bytes.
  static func mask(_ width: Int) -> UInt64 {
    width >= 8 ? .max : 1 << (8 * UInt64(width)) - 1
  }
}

extension X86Registers {
  init(_ c: user_regs_struct) {
    general = [
      UInt64(c.rax), UInt64(c.rcx), UInt64(c.rdx), UInt64(c.rbx), UInt64(c.rsp), UInt64(c.rbp),
      UInt64(c.rsi), UInt64(c.rdi), UInt64(c.r8), UInt64(c.r9), UInt64(c.r10), UInt64(c.r11),
      UInt64(c.r12), UInt64(c.r13), UInt64(c.r14), UInt64(c.r15),
    ]
    (rip, flags) = (UInt64(c.rip), UInt64(c.eflags))
    (fsBase, gsBase) = (UInt64(c.fs_base), UInt64(c.gs_base))
  }

  /// Puts what an instruction can have changed into `c`.
  func store(to c: inout user_regs_struct) {
    func word(_ i: Int) -> UInt64 { general[i] }
    (c.rax, c.rcx, c.rdx, c.rbx) = (.init(word(0)), .init(word(1)), .init(word(2)), .init(word(3)))
    (c.rsp, c.rbp, c.rsi, c.rdi) = (.init(word(4)), .init(word(5)), .init(word(6)), .init(word(7)))
    (c.r8, c.r9, c.r10, c.r11) = (.init(word(8)), .init(word(9)), .init(word(10)), .init(word(11)))
    (c.r12, c.r13, c.r14, c.r15) = (
      .init(word(12)), .init(word(13)), .init(word(14)), .init(word(15))
    )
    (c.rip, c.eflags) = (.init(rip), .init(flags))
  }
}
