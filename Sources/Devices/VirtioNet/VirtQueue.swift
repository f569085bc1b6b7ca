import DeviceKit

/// A split virtqueue (Virtio 1.2, 2.7) in a driver's memory, and how far the device has got in it.
///
/// Its layout is the legacy one: the descriptor table, the available ring right behind it, and the used ring
/// from the next page on.
struct VirtQueue: Hashable {
  /// Entries; a power of two.
  static let size: UInt16 = 256
  static let descriptorSize = 16

  /// The number of the page of 4 KiB where it starts; 0 as long as there is no queue.
  var page: UInt32 = 0
  /// How many chains the device has taken, and how many it has given back, modulo 2^16.
  var taken: UInt16 = 0
  var givenBack: UInt16 = 0

  var isReady: Bool { page != 0 }

  var table: IOVA { IOVA(UInt64(page) << 12) }
  var available: IOVA { table.advanced(by: UInt64(Self.size) * UInt64(Self.descriptorSize)) }
  var used: IOVA {
    // Flags, index, ring and one event, each entry of two bytes.
    let end = available.advanced(by: 2 * (UInt64(Self.size) + 3)).rawValue
    return IOVA((end + 4095) & ~4095)
  }
}

/// What is wrong with a queue.
enum VirtQueueFlaw: Error, CustomStringConvertible {
  case memory(DMAFault)
  case tooManyChains
  case descriptor(UInt16)
  case loop(UInt16)
  case tooLong(UInt16)
  case noRoom(UInt16)

  var description: String {
    switch self {
    case .memory(let fault): "\(fault)"
    case .tooManyChains: "more chains are available than the queue has entries"
    case .descriptor(let index): "there is no descriptor \(index)"
    case .loop(let head): "the chain of descriptor \(head) has no end"
    case .tooLong(let head): "the chain of descriptor \(head) has more bytes than a frame may have"
    case .noRoom(let head): "the chain of descriptor \(head) has too little room for a frame"
    }
  }
}

/// Descriptors that belong together: bytes for the device to read, and room for it to write to.
struct VirtQueueChain {
  struct Piece {
    var start: IOVA
    /// Bytes.
    var count: Int
  }

  var head: UInt16
  var readable: [Piece] = []
  var writable: [Piece] = []

  func read(_ dma: any DMAPort, atMost limit: Int) throws(VirtQueueFlaw) -> [UInt8] {
    if readable.reduce(0, { $0 + $1.count }) > limit { throw .tooLong(head) }
    var all: [UInt8] = []
    for piece in readable {
      let (bytes, fault) = dma.read(piece.start, count: piece.count)
      if let fault { throw .memory(fault) }
      all += bytes
    }
    return all
  }

  /// - Returns: how many bytes were written: all of them.
  func write(_ dma: any DMAPort, _ bytes: [UInt8]) throws(VirtQueueFlaw) -> Int {
    if writable.reduce(0, { $0 + $1.count }) < bytes.count { throw .noRoom(head) }
    var rest = bytes[...]
    for piece in writable where !rest.isEmpty {
      if let fault = dma.write(piece.start, Array(rest.prefix(piece.count))) {
        throw .memory(fault)
      }
      rest = rest.dropFirst(piece.count)
    }
    return bytes.count
  }
}

extension IOVA {
  func advanced(by count: UInt64) -> IOVA { IOVA(rawValue &+ count) }
}
