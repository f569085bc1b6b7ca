import DeviceKit

/// One pass over a queue: takes the chains that were available when it began, and gives back what is done with
/// at its end.
struct VirtQueuePass {
  private enum Flag {
    static let next: UInt64 = 1 << 0
    static let write: UInt64 = 1 << 1
    static let noInterrupt: UInt64 = 1 << 0
  }

  private(set) var queue: VirtQueue
  private let dma: any DMAPort
  private let available: [UInt8]
  private let table: [UInt8]
  private var left: UInt16
  private var usedElements: [(head: UInt16, written: Int)] = []

  init(_ queue: VirtQueue, _ dma: any DMAPort) throws(VirtQueueFlaw) {
    self.queue = queue
    self.dma = dma
    // The index first: all that it counts was written before it.
    let index = try Self.read(queue.available.advanced(by: 2), count: 2, dma)
    left = UInt16(Self.value(index, at: 0, bytes: 2)) &- queue.taken
    if left > VirtQueue.size { throw .tooManyChains }
    let isIdle = left == 0
    available =
      isIdle
      ? [] : try Self.read(queue.available.advanced(by: 4), count: 2 * Int(VirtQueue.size), dma)
    table =
      isIdle
      ? []
      : try Self.read(
        queue.table, count: VirtQueue.descriptorSize * Int(VirtQueue.size), dma)
  }

  /// - Returns: nil when all have been taken.
  mutating func next() throws(VirtQueueFlaw) -> VirtQueueChain? {
    if left == 0 { return nil }
    let head = UInt16(
      Self.value(available, at: 2 * Int(queue.taken % VirtQueue.size), bytes: 2))
    let chain = try chain(from: head)
    left -= 1
    queue.taken &+= 1
    return chain
  }

  mutating func giveBack(_ chain: VirtQueueChain, written: Int) {
    usedElements.append((chain.head, written))
  }

  /// Tells the driver of all chains that were given back.
  ///
  /// - Returns: whether it wants to be interrupted for them.
  mutating func finish() throws(VirtQueueFlaw) -> Bool {
    if usedElements.isEmpty { return false }
    for (head, written) in usedElements {
      let place = queue.used.advanced(by: 4 + 8 * UInt64(queue.givenBack % VirtQueue.size))
      try write(place, UInt64(written) << 32 | UInt64(head), bytes: 8)
      queue.givenBack &+= 1
    }
    usedElements = []
    try write(queue.used.advanced(by: 2), UInt64(queue.givenBack), bytes: 2)
    let flags = try Self.read(queue.available, count: 2, dma)
    return Self.value(flags, at: 0, bytes: 2) & Flag.noInterrupt == 0
  }

  private func chain(from head: UInt16) throws(VirtQueueFlaw) -> VirtQueueChain {
    var chain = VirtQueueChain(head: head)
    var index = head
    for _ in 0..<VirtQueue.size {
      guard index < VirtQueue.size else { throw .descriptor(index) }
      let at = VirtQueue.descriptorSize * Int(index)
      let piece = VirtQueueChain.Piece(
        start: IOVA(Self.value(table, at: at, bytes: 8)),
        count: Int(Self.value(table, at: at + 8, bytes: 4)))
      let flags = Self.value(table, at: at + 12, bytes: 2)
      if flags & Flag.write == 0 {
        chain.readable.append(piece)
      } else {
        chain.writable.append(piece)
      }
      if flags & Flag.next == 0 { return chain }
      index = UInt16(Self.value(table, at: at + 14, bytes: 2))
    }
    throw .loop(head)
  }

  private func write(_ place: IOVA, _ value: UInt64, bytes: Int) throws(VirtQueueFlaw) {
    let content = (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    if let fault = dma.write(place, content) { throw .memory(fault) }
  }

  private static func read(
    _ place: IOVA, count: Int, _ dma: any DMAPort
  ) throws(VirtQueueFlaw) -> [UInt8] {
    let (bytes, fault) = dma.read(place, count: count)
    if let fault { throw .memory(fault) }
    return bytes
  }

  private static func value(_ content: [UInt8], at start: Int, bytes: Int) -> UInt64 {
    (0..<bytes).reduce(0) { $0 | UInt64(content[start + $1]) << (8 * UInt64($1)) }
  }
}
