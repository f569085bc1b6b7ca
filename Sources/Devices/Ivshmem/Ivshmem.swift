public import DeviceKit

/// QEMU's inter-VM shared memory device (docs/specs/ivshmem-spec.rst), revision 1: RAM in BAR 2 that all
/// devices with the same `shared` have, and, with `vectors`, a doorbell that interrupts them by MSI-X.
public final class Ivshmem: PCIFunctionModel {
  /// With a bus of doorbells of its own: devices of different machines have nothing in common.
  public static func model() -> DeviceModel {
    let doorbells = IvshmemDoorbells()
    return DeviceModel(
      name: "ivshmem",
      parameters: [
        DeviceParameter("size", .size(4096...1 << 39)),
        DeviceParameter("shared", .name),
        DeviceParameter("vectors", .number(0...2048)),
      ]
    ) { parameters in
      let vectors = Int(parameters.number("vectors") ?? 0)
      let shared = parameters.text("shared")
      return PCIFunctionKind(
        name: "ivshmem",
        description: description(size: parameters.number("size") ?? 4 << 20, vectors: vectors),
        sharedMemory: shared.map { "ivshmem:\($0)" }
      ) { port in
        Ivshmem(port: port, doorbells: doorbells, shared: shared, vectors: vectors)
      }
    }
  }

  enum Register {
    // 0x00 and 0x04, the interrupt mask and status, are reserved in revision 1.
    static let position: UInt64 = 0x08
    static let doorbell: UInt64 = 0x0c
  }

  private let port: any PCIFunctionPort
  private let doorbells: IvshmemDoorbells
  private let shared: String?
  private let vectors: Int
  /// Nil without a doorbell.
  private let position: UInt16?

  init(port: any PCIFunctionPort, doorbells: IvshmemDoorbells, shared: String?, vectors: Int) {
    self.port = port
    self.doorbells = doorbells
    self.shared = shared
    self.vectors = vectors
    position = vectors > 0 ? doorbells.join(shared, port) : nil
  }

  deinit {
    if let position { doorbells.leave(shared, position) }
  }

  static func description(size: UInt64, vectors: Int) -> PCIFunctionDescription {
    var description = PCIFunctionDescription(
      vendorID: 0x1af4, deviceID: 0x1110, revision: 1, classCode: 0x050000,
      subsystemVendorID: 0x1af4, subsystemID: 0x1100,
      bars: [
        0: .memory32(size: 256), 2: .memory64(size: size, prefetchable: true, ram: true),
      ])
    guard vectors > 0 else { return description }
    // As QEMU lays out a BAR that has nothing else in it.
    let pending = max(2048, UInt64(vectors) * 16)
    var barSize: UInt64 = 4096
    while barSize < pending + UInt64((vectors + 63) / 64) * 8 { barSize *= 2 }
    description.bars[1] = .memory32(size: barSize)
    description.msix = .init(
      vectors: vectors, table: .init(bar: 1, offset: 0),
      pending: .init(bar: 1, offset: pending))
    return description
  }

  public func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 {
    bar == 0 && offset == Register.position && width == .dword ? UInt64(position ?? 0) : 0
  }

  public func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {
    guard bar == 0, offset == Register.doorbell, width == .dword, position != nil else { return }
    doorbells.ring(
      shared, peer: UInt16(truncatingIfNeeded: value >> 16), vector: Int(value & 0xffff))
  }

  /// Nothing in it changes.
  public func reset() {}
}
