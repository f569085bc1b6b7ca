/// An x86-64 instruction that accesses memory, as far as drivers use such on registers of devices: moves,
/// arithmetic and logic, string moves, moves of vector registers (Intel SDM volume 2).
struct X86Instruction: Equatable {
  enum Arithmetic: Int {
    case add, or, adc, sbb, and, sub, xor, cmp
    case test
  }

  /// The operand that is not in memory.
  enum Operand: Equatable {
    case register(Int)
    case immediate(UInt64)
  }

  enum Operation: Equatable {
    /// To a register of `width` bytes.
    case load(Int, width: Int, signed: Bool)
    case store(Operand)
    case exchange(Int)
    /// `intoMemory` says where the result goes.
    case arithmetic(Arithmetic, Operand, intoMemory: Bool)
    case not, negate, increment, decrement
    /// Sets the carry flag to a bit; then sets, clears or inverts it.
    case bit(Int, BitChange)
    /// From memory at rsi to memory at rdi.
    case moveString
    /// From rax to memory at rdi.
    case storeString
    case loadVector(VectorOperand)
    case storeVector(VectorOperand)
  }

  /// A vector register, and which of its bytes move.
  struct VectorOperand: Equatable {
    var number: Int
    /// Where in the register the bytes are.
    var start = 0
    /// Bytes that each bit of the mask stands for.
    var element = 8
    /// The opmask register; 0 for none.
    var mask = 0
    var clearing = Clearing.none

    /// What a load does to the rest of the register.
    enum Clearing {
      /// It stays.
      case none
      /// The low 16 bytes are cleared (SSE's scalar moves).
      case low
      /// All of it is cleared (VEX and EVEX).
      case all
      /// The same, with elements that are masked out left as they are.
      case allButMasked
    }
  }

  enum BitChange: Int {
    case none, set, clear, invert
  }

  var operation: Operation
  /// Bytes of the memory operand.
  var width: Int
  /// Bytes of the instruction.
  var length: Int
  var hasREX: Bool
  /// Whether it moves a vector register.
  var isVector: Bool {
    switch operation {
    case .loadVector, .storeVector: true
    default: false
    }
  }
  /// Whether rcx counts.
  var repeats: Bool
  var address: Address

  /// How the memory operand's address is made.
  struct Address: Equatable {
    enum Segment {
      case none, fs, gs
    }

    var base: Int?
    var index: Int?
    var scale: UInt64 = 1
    var displacement: UInt64 = 0
    /// Counts from the next instruction.
    var isRelative = false
    var is32Bit = false
    var segment = Segment.none

    func value(_ registers: X86Registers, length: Int) -> UInt64 {
      var sum = displacement
      if isRelative { sum &+= registers.rip &+ UInt64(length) }
      if let base { sum &+= registers.general[base] }
      if let index { sum &+= registers.general[index] &* scale }
      if is32Bit { sum &= 0xffff_ffff }
      switch segment {
      case .none: return sum
      case .fs: return sum &+ registers.fsBase
      case .gs: return sum &+ registers.gsBase
      }
    }
  }

  /// - Returns: nil for an instruction of another kind.
  init?(_ code: [UInt8]) {
    var decoder = X86Decoder(code)
    guard let instruction = decoder.decode() else { return nil }
    self = instruction
  }

  init(
    _ operation: Operation, width: Int, length: Int, hasREX: Bool, repeats: Bool = false,
    address: Address = Address()
  ) {
    self.operation = operation
    self.width = width
    self.length = length
    self.hasREX = hasREX
    self.repeats = repeats
    self.address = address
  }
}
