import CLinux
import Synchronization
import SystemPackage

/// The mappings of a client's memory, asked of the kernel one by one.
///
/// Since Linux 6.11 one is looked up in less than a microsecond. Before, the whole text of
/// `/proc/<pid>/maps` is read for each question.
final class MemoryMap: Sendable {
  private let maps: OwnedFD
  private let canQuery = Atomic<Bool>(true)

  init(pid: Int32) throws(Errno) {
    maps = try OwnedFD(path: "/proc/\(pid)/maps", 0)
  }

  /// How far `range` is mapped readable, and writable where asked, and what of it is where.
  ///
  /// - Parameter visit: is given each mapping up to there, in order.
  /// - Throws: what reading the file says; `ESRCH` when the memory is gone.
  func end(
    of range: Range<ClientAddress>, writable: Bool, _ visit: (VMA) throws(Errno) -> Void
  ) throws(Errno) -> ClientAddress {
    var walk = Walk(range: range, writable: writable)
    if canQuery.load(ordering: .relaxed) {
      while !walk.isOver {
        switch try query(walk.next) {
        case .found(let vma):
          if !walk.covers(vma) { return ClientAddress(walk.next) }
          try visit(vma)
          walk.advance(past: vma)
        case .nothing: return ClientAddress(walk.next)
        case .unknown: return try textEnd(of: range, writable: writable, visit)
        }
      }
      return range.upperBound
    }
    return try textEnd(of: range, writable: writable, visit)
  }

  /// The mapping at `address`, nil where there is none.
  func vma(at address: UInt64) throws(Errno) -> VMA? {
    var found: VMA?
    let one = ClientAddress(address)..<ClientAddress(address &+ 1)
    _ = try end(of: one, writable: false) { found = $0 }
    return found
  }

  private enum Answer {
    case found(VMA)
    case nothing
    case unknown
  }

  private func query(_ address: UInt64) throws(Errno) -> Answer {
    var c = cl_vma()
    switch cl_vma_query(maps.rawValue, address, &c) {
    case 0: return .found(VMA(c))
    case let error where error == -Errno.noSuchFileOrDirectory.rawValue: return .nothing
    case let error where error == -Errno.noSuchProcess.rawValue: throw .noSuchProcess
    default:
      canQuery.store(false, ordering: .relaxed)
      return .unknown
    }
  }

  private func textEnd(
    of range: Range<ClientAddress>, writable: Bool, _ visit: (VMA) throws(Errno) -> Void
  ) throws(Errno) -> ClientAddress {
    try Self.end(
      in: try ProcFS.contents(maps.rawValue), of: range, writable: writable, visit)
  }

  /// The same by a file's text.
  static func end(
    in text: [UInt8], of range: Range<ClientAddress>, writable: Bool,
    _ visit: (VMA) throws(Errno) -> Void
  ) throws(Errno) -> ClientAddress {
    var walk = Walk(range: range, writable: writable)
    for line in text.split(separator: UInt8(ascii: "\n")) {
      if walk.isOver { break }
      guard let vma = VMA(line: line), vma.end > walk.next else { continue }
      guard walk.covers(vma) else { break }
      try visit(vma)
      walk.advance(past: vma)
    }
    return min(ClientAddress(walk.next), range.upperBound)
  }

  private struct Walk {
    var next: UInt64
    let end: UInt64
    let writable: Bool

    init(range: Range<ClientAddress>, writable: Bool) {
      next = range.lowerBound.rawValue
      end = range.upperBound.rawValue
      self.writable = writable
    }

    var isOver: Bool { next >= end }

    func covers(_ vma: VMA) -> Bool {
      vma.start <= next && vma.isReadable && (vma.isWritable || !writable)
    }

    mutating func advance(past vma: VMA) { next = vma.end }
  }
}
