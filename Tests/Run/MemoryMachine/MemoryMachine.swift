import DeviceKit
import Glibc
import Logging
import SupervisorTransport
import Threads
import VFIOCore

/// A device with memory that can be mapped. BAR 0 has two registers, 32 bits each: what is written to the
/// first is an offset in BAR 2, whose word there the device counts up; what is written to the second is an
/// IOVA, to which it copies the first page of BAR 2. BAR 4 has an MSI-X table in its second page.
private final class MemoryDevice: PCIFunctionModel {
  static let page: UInt64 = 4096
  static let kind = PCIFunctionKind(
    name: "memory",
    description: PCIFunctionDescription(
      vendorID: 0x1234, deviceID: 0x11e9, classCode: 0x050000,
      bars: [
        0: .memory32(size: page), 2: .memory64(size: 1 << 30, prefetchable: true, ram: true),
        4: .memory32(size: 4 * page, ram: true),
      ],
      msix: .init(
        vectors: 4, table: .init(bar: 4, offset: page), pending: .init(bar: 4, offset: 3 * page))),
    make: { MemoryDevice($0) })

  private let port: any PCIFunctionPort

  init(_ port: any PCIFunctionPort) {
    self.port = port
  }

  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 { 0 }

  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard bar == 0, let memory = port.memory(bar: 2) else { return }
    switch offset {
    case 0:
      guard value <= memory.count - 4 else { return }
      var word: UInt32 = 0
      // SAFETY: the bytes are those of `word`, where any pattern is a value.
      withUnsafeMutableBytes(of: &word) { memory.read(at: Int(value), into: $0) }
      word &+= 1
      // SAFETY: as above.
      withUnsafeBytes(of: word) { memory.write(at: Int(value), from: $0) }
    case 4:
      port.after(.zero) { [port] in
        var page = [UInt8](repeating: 0, count: Int(Self.page))
        // SAFETY: the array's own storage, for the length of the call.
        page.withUnsafeMutableBytes { memory.read(at: 0, into: $0) }
        _ = port.dma.write(IOVA(value), page)
      }
    default: return
    }
  }

  func reset() {}
}

/// Runs a program that sees `/dev/vfio/pci:1` with one such device, `0000:00:01.0`.
@main
struct MemoryMachine {
  static func main() throws {
    let logger = Logger(label: "memory-machine") { _ in SwiftLogNoOpLogHandler() }
    let work = WorkPool()
    let vfio = VFIO(logger: logger)
    let bus = PCIBus(vfio: vfio, scheduler: work, logger: logger)
    guard let address = PCIAddress("0000:00:01.0") else { exit(2) }
    try bus.add(address: address, kind: MemoryDevice.kind, group: 1, driver: .vfio)
    let transport = SupervisorTransport(
      vfio: vfio, work: work, options: SupervisorTransport.Options(), logger: logger)
    exit(try transport.run(Array(CommandLine.arguments.dropFirst())))
  }
}
