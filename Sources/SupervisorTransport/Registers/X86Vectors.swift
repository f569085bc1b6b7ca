/// The vector registers of a thread and the masks of AVX-512.
struct X86Vectors: Equatable {
  /// Bytes of a register.
  static let width = 64

  /// One after the other, 32 of them, each with as many bytes as there can be.
  private var bytes = [UInt8](repeating: 0, count: 32 * width)
  var masks = [UInt64](repeating: 0, count: 8)

  subscript(_ register: Int, _ byte: Int) -> UInt8 {
    get { bytes[register * Self.width + byte] }
    set { bytes[register * Self.width + byte] = newValue }
  }

  /// Little-endian.
  func word(_ register: Int, at byte: Int, width: Int) -> UInt64 {
    (0..<width).reduce(0) { $0 | UInt64(self[register, byte + $1]) << (8 * UInt64($1)) }
  }

  mutating func set(_ register: Int, at byte: Int, width: Int, _ word: UInt64) {
    for i in 0..<width {
      self[register, byte + i] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(i)))
    }
  }
}

extension X86Instruction {
  /// What of the memory operand is accessed at once, as by a bus of 8 bytes: elements, or several where all of
  /// their 8 bytes move.
  private func pieces(_ vector: VectorOperand, _ vectors: X86Vectors) -> [Range<Int>] {
    let bits = vector.mask == 0 ? .max : vectors.masks[vector.mask]
    func moves(_ byte: Int) -> Bool { bits >> UInt64(byte / vector.element) & 1 != 0 }
    var pieces: [Range<Int>] = []
    for start in stride(from: 0, to: width, by: min(width, 8)) {
      let word = start..<(start + min(width, 8))
      if word.allSatisfy(moves) {
        pieces.append(word)
      } else {
        let elements = stride(from: start, to: word.upperBound, by: vector.element)
        pieces += elements.filter(moves).map { $0..<($0 + vector.element) }
      }
    }
    return pieces
  }

  func load(
    _ vector: VectorOperand, _ place: UInt64, _ vectors: inout X86Vectors,
    _ memory: inout some X86Memory
  ) throws {
    var result = vectors
    let kept: Range<Int> =
      switch vector.clearing {
      case .none: 0..<X86Vectors.width
      case .low: 16..<X86Vectors.width
      case .all: 0..<0
      case .allButMasked: 0..<width
      }
    for byte in 0..<X86Vectors.width where !kept.contains(byte) { result[vector.number, byte] = 0 }
    for piece in pieces(vector, vectors) {
      let word = try memory.load(place &+ UInt64(piece.lowerBound), piece.count)
      result.set(vector.number, at: vector.start + piece.lowerBound, width: piece.count, word)
    }
    vectors = result
  }

  func store(
    _ vector: VectorOperand, _ place: UInt64, _ vectors: X86Vectors,
    _ memory: inout some X86Memory
  ) throws {
    for piece in pieces(vector, vectors) {
      let word = vectors.word(
        vector.number, at: vector.start + piece.lowerBound, width: piece.count)
      try memory.store(place &+ UInt64(piece.lowerBound), piece.count, word)
    }
  }
}
