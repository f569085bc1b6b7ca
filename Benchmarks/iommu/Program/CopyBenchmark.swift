import ClientAccess
import DeviceKit
import Glibc
import SoftIOMMU
import SystemPackage

/// DMA to the memory of another process: `memory-benchmark dma PID PRIVATE SHARED`, two addresses of
/// `Region.size` bytes in it.
enum CopyBenchmark {
  static let size = 64 << 20

  static func run() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, let pid = Int32(arguments[2]),
      let own = UInt64(arguments[3], radix: 16), let shared = UInt64(arguments[4], radix: 16)
    else { exit(2) }
    // As under `run`, and as under `serve`.
    try measure("copy", pid, own, isOneTree: true)
    try measure("serve-copy", pid, own, isOneTree: false)
    try measure("shared", pid, shared, isOneTree: true)
  }

  private static func measure(
    _ name: String, _ pid: Int32, _ address: UInt64, isOneTree: Bool
  ) throws {
    let memory = try AddressSpaceTable(isOneTree: isOneTree).addressSpace(of: pid)
    let domain = SoftIOMMU()
    let port = DomainPort()
    port.attach(to: domain)
    try domain.map(
      iova: IOVA(0), vaddr: ClientAddress(address), size: UInt64(size),
      permissions: [.read, .write], memory: memory, lockLimit: .max)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 20, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 1)
    for count in [64, 4096, 64 << 10, 1 << 20, 16 << 20] {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      let turns = max(8, min(20_000, (256 << 20) / count))
      let stride = max(count, 4096)
      try time("\(name).read.\(count)", turns, stride) { port.read(IOVA($0), into: part) }
      try time("\(name).write.\(count)", turns, stride) {
        port.write(IOVA($0), from: UnsafeRawBufferPointer(part))
      }
      if count == 4096 {
        try time("\(name).read.hot", turns, 0) { port.read(IOVA($0), into: part) }
      }
    }
    // Pieces of 4 KiB, no two of them next to each other.
    let pieces = 128
    try time("\(name).read.scatter", 400, 4096) { start in
      let segments = (0..<pieces).map { i in
        DMASegment(
          iova: IOVA((start + UInt64(i) * 131 * 4096) % UInt64(size)),
          buffer: UnsafeMutableRawBufferPointer(rebasing: buffer[(i * 4096)..<((i + 1) * 4096)]))
      }
      return segments.withUnsafeBufferPointer { port.read($0) }
    }
    port.detach(from: domain)
  }

  private static func time(
    _ name: String, _ turns: Int, _ stride: Int, _ transfer: (UInt64) -> DMAFault?
  ) throws {
    var fault: DMAFault?
    let best = least(turns, rounds: 7) {
      var at = 0
      for _ in 0..<turns {
        if let new = transfer(UInt64(at)) { fault = new }
        at = (at + stride) % size
      }
    }
    if let fault { throw fault }
    line(name, best)
  }
}
