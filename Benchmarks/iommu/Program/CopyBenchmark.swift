import ClientAccess
import DMAReference
import DeviceKit
import Glibc
import SoftIOMMU
import SystemPackage

/// DMA to the memory of another process: `memory-benchmark dma PID PRIVATE SHARED FD`, two addresses of
/// `size` bytes in it, and its descriptor of the file behind the second. Each figure with that of the same in
/// C, in turns: a line of name, ours, theirs.
struct CopyBenchmark {
  static let size = 64 << 20
  static let pieces = 128

  private let pid: Int32
  private let own: UInt64
  private let shared: UInt64
  /// The shared memory, as mapped here.
  private let here: UnsafeMutableRawPointer
  private let buffer: UnsafeMutableRawBufferPointer

  static func run() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 6, let pid = Int32(arguments[2]),
      let own = UInt64(arguments[3], radix: 16), let shared = UInt64(arguments[4], radix: 16)
    else { exit(2) }
    let fd = open("/proc/\(pid)/fd/\(arguments[5])", O_RDWR)
    guard let here = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), here != MAP_FAILED
    else { exit(1) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 20, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 1)
    let benchmark = CopyBenchmark(pid: pid, own: own, shared: shared, here: here, buffer: buffer)
    // As under `run`, and as under `serve`.
    try benchmark.measure("copy", own, isOneTree: true)
    try benchmark.measure("serve-copy", own, isOneTree: false)
    try benchmark.measure("shared", shared, isOneTree: true)
  }

  private func measure(_ name: String, _ address: UInt64, isOneTree: Bool) throws {
    let memory = try AddressSpaceTable(isOneTree: isOneTree).addressSpace(of: pid)
    let domain = SoftIOMMU()
    let port = DomainPort()
    port.attach(to: domain)
    defer { port.detach(from: domain) }
    try domain.map(
      iova: IOVA(0), vaddr: ClientAddress(address), size: UInt64(Self.size),
      permissions: [.read, .write], memory: memory, lockLimit: .max)
    let isShared = address == shared
    let start = buffer.baseAddress
    for count in [64, 4096, 64 << 10, 1 << 20, 16 << 20] {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      // All of the memory, so that it is no cache that is measured.
      let stride = max(count, 4096)
      let turns = Self.size / stride
      try time("\(name).read.\(count)", turns, stride) {
        port.read(IOVA($0), into: part)
      } theirs: { at in
        isShared ? ref_copy(start, here + at, count) : ref_read(pid, start, own + UInt64(at), count)
      }
      try time("\(name).write.\(count)", turns, stride) {
        port.write(IOVA($0), from: UnsafeRawBufferPointer(part))
      } theirs: { at in
        isShared
          ? ref_copy(here + at, start, count) : ref_write(pid, start, own + UInt64(at), count)
      }
    }
    try scatter(name, port, isShared)
  }

  /// Pieces of 4 KiB, no two of them next to each other.
  private func scatter(_ name: String, _ port: DomainPort, _ isShared: Bool) throws {
    func offset(_ start: Int, _ i: Int) -> Int { (start + i * 131 * 4096) % Self.size }
    func segments(_ start: Int) -> [DMASegment] {
      var segments: [DMASegment] = []
      segments.reserveCapacity(Self.pieces)
      for i in 0..<Self.pieces {
        let page = UnsafeMutableRawBufferPointer(rebasing: buffer[(i * 4096)..<((i + 1) * 4096)])
        segments.append(DMASegment(iova: IOVA(UInt64(offset(start, i))), buffer: page))
      }
      return segments
    }
    for isWrite in [false, true] {
      try time("\(name).\(isWrite ? "write" : "read").scatter", 20, 4096) { at in
        segments(Int(at)).withUnsafeBufferPointer { isWrite ? port.write($0) : port.read($0) }
      } theirs: { at in
        var offsets = ContiguousArray(repeating: 0, count: Self.pieces)
        for i in 0..<Self.pieces { offsets[i] = offset(at, i) }
        offsets.withUnsafeBufferPointer {
          isShared
            ? ref_copy_pieces(here, buffer.baseAddress, $0.baseAddress, $0.count, isWrite)
            : ref_move_pieces(pid, own, buffer.baseAddress, $0.baseAddress, $0.count, isWrite)
        }
      }
    }
  }

  private func time(
    _ name: String, _ turns: Int, _ stride: Int, _ ours: (UInt64) -> DMAFault?,
    theirs: (Int) -> Void
  ) throws {
    var fault: DMAFault?
    var (best, reference) = (Double.infinity, Double.infinity)
    for _ in 0..<20 {
      best = min(
        best,
        least(turns, rounds: 1) {
          var at = 0
          for _ in 0..<turns {
            if let new = ours(UInt64(at)) { fault = new }
            at = (at + stride) % Self.size
          }
        })
      reference = min(
        reference,
        least(turns, rounds: 1) {
          var at = 0
          for _ in 0..<turns {
            theirs(at)
            at = (at + stride) % Self.size
          }
        })
    }
    if let fault { throw fault }
    line(name, best, reference)
  }
}
