import ClientAccess
import DeviceKit
import Glibc
import SoftIOMMU
import SystemPackage

/// Maps, unmaps and translations through the public interface, with memory that agrees to everything.
enum TableBenchmark {
  static let page: UInt64 = 4096

  /// - Parameter sizes: numbers of mappings.
  static func run(_ sizes: [Int]) throws {
    for n in sizes.isEmpty ? [1, 100, 10_000, 1_000_000] : sizes { try measure(n) }
  }

  private static func measure(_ n: Int) throws {
    let memory = AgreeableMemory()
    // Every other page, so that nothing coalesces.
    var order = (0..<n).map { UInt64($0) * 2 * page }
    let sequential = order
    var random = Xorshift()
    for i in stride(from: n - 1, to: 0, by: -1) {
      order.swapAt(i, Int(random.next() % UInt64(i + 1)))
    }
    let rounds = n >= 1_000_000 ? 3 : 7
    let repeats = max(1, 10_000 / n)
    for (name, keys) in [("sequential", sequential), ("random", order)] {
      var (map, unmap, translate, hit) = (
        Double.infinity, Double.infinity, Double.infinity, Double.infinity
      )
      var bytes = 0.0
      for _ in 0..<rounds {
        let domain = SoftIOMMU()
        let port = DomainPort()
        port.attach(to: domain)
        var (mapping, unmapping) = (0.0, 0.0)
        for i in 0..<repeats {
          mapping += try least(n, rounds: 1) {
            for key in keys {
              try domain.map(
                iova: IOVA(key), vaddr: ClientAddress(0x10_0000_0000 + key), size: page,
                permissions: [.read, .write], memory: memory, lockLimit: .max)
            }
          }
          if i < repeats - 1 {
            unmapping += try least(n, rounds: 1) {
              for key in keys { try domain.unmap(iova: IOVA(key), size: page) }
            }
          }
        }
        bytes = Double(domain.footprint) / Double(n)
        let looks = max(1, 100_000 / n)
        translate = min(
          translate,
          least(n * looks, rounds: 1) {
            var sum: UInt64 = 0
            for _ in 0..<looks {
              for key in keys {
                if let found = port.translate(IOVA(key + 8)) { sum &+= found.vaddr.rawValue }
              }
            }
            use(sum)
          })
        hit = min(
          hit,
          least(1_000_000, rounds: 1) {
            var sum: UInt64 = 0
            let key = keys[0]
            for i in 0..<UInt64(1_000_000) {
              if let found = port.translate(IOVA(key + i % page)) { sum &+= found.vaddr.rawValue }
            }
            use(sum)
          })
        unmapping += try least(n, rounds: 1) {
          for key in keys { try domain.unmap(iova: IOVA(key), size: page) }
        }
        map = min(map, mapping / Double(repeats))
        unmap = min(unmap, unmapping / Double(repeats))
        port.detach(from: domain)
      }
      line("map.\(name).\(n)", map)
      line("unmap.\(name).\(n)", unmap)
      line("translate.\(name).\(n)", translate)
      if name == "random" {
        line("hit.\(n)", hit)
      }
      line("bytes.\(name).\(n)", bytes)
    }
    try all(n, sequential)
  }

  /// One unmap of everything.
  private static func all(_ n: Int, _ keys: [UInt64]) throws {
    let memory = AgreeableMemory()
    let domain = SoftIOMMU()
    for key in keys {
      try domain.map(
        iova: IOVA(key), vaddr: ClientAddress(0x10_0000_0000 + key), size: page,
        permissions: [.read, .write], memory: memory, lockLimit: .max)
    }
    line("unmap.range.\(n)", least(n, rounds: 1) { domain.unmapAll() })
  }

  @inline(never)
  private static func use(_ sum: UInt64) {
    if sum == 1 { print("") }
  }
}

/// An address space of which everything is mapped.
final class AgreeableMemory: AddressSpace {
  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) {}
  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) {}
  func mapped(_ range: Range<ClientAddress>, writable: Bool) -> MappedExtent {
    MappedExtent(end: range.upperBound)
  }
  func lock(_ bytes: UInt64, limit: UInt64) {}
  func unlock(_ bytes: UInt64) {}
}
