/// The pending bit array of MSI-X: which masked vectors have a message to send.
struct PCIPendingBits: Sendable {
  private var words: [UInt64]
  private let count: Int

  /// - Parameter count: vectors.
  init(count: Int) {
    self.count = count
    words = [UInt64](repeating: 0, count: (count + 63) / 64)
  }

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  /// - Returns: false for a vector that there is not.
  mutating func insert(_ vector: Int) -> Bool {
    guard (0..<count).contains(vector) else { return false }
    words[vector / 64] |= 1 << UInt64(vector % 64)
    return true
  }

  /// - Returns: whether it was there.
  mutating func remove(_ vector: Int) -> Bool {
    guard (0..<count).contains(vector) else { return false }
    let bit: UInt64 = 1 << UInt64(vector % 64)
    defer { words[vector / 64] &= ~bit }
    return words[vector / 64] & bit != 0
  }

  mutating func removeAll() {
    self = Self(count: count)
  }

  /// The byte at `offset` of the array, which is inside.
  func byte(at offset: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: words[offset / 8] >> (8 * UInt64(offset % 8)))
  }
}
