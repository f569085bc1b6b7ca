import ClientAccess
import DeviceKit
import SoftIOMMU
import SystemPackage
import TestSupport

let page: UInt64 = 4096
let vaddr: UInt64 = 0x7000_0000_0000

/// A domain with one address space that has some pages.
struct Fixture {
  let iommu: SoftIOMMU
  let memory = MemorySpace()
  let port = DomainPort()

  init(pages: Int = 16, iommu: SoftIOMMU = SoftIOMMU()) {
    self.iommu = iommu
    port.attach(to: iommu)
    memory.mmap(vaddr, pages: pages)
  }

  func map(
    _ iova: UInt64, _ address: UInt64 = vaddr, pages: UInt64 = 1,
    _ permissions: DMAPermissions = [.read, .write], limit: UInt64 = .max
  ) throws(Errno) {
    try iommu.map(
      iova: IOVA(iova), vaddr: ClientAddress(address), size: pages * page,
      permissions: permissions, memory: memory, lockLimit: limit)
  }

  /// First and last address of each mapping.
  var ranges: [[UInt64]] {
    iommu.mappings.map { [$0.range.lowerBound.rawValue, $0.range.upperBound.rawValue] }
  }
}

extension Fixture {
  func read(_ iova: UInt64, _ count: Int) -> ([UInt8], DMAFault?) {
    var bytes = [UInt8](repeating: 0xee, count: count)
    let fault = bytes.withUnsafeMutableBytes { port.read(IOVA(iova), into: $0) }
    return (bytes, fault)
  }

  func write(_ iova: UInt64, _ bytes: [UInt8]) -> DMAFault? {
    bytes.withUnsafeBytes { port.write(IOVA(iova), from: $0) }
  }

  func map(_ iova: UInt64, _ permissions: DMAPermissions) throws(Errno) {
    try map(iova, vaddr, pages: 1, permissions)
  }

  func map(_ iova: UInt64, _ address: UInt64, _ permissions: DMAPermissions) throws(Errno) {
    try map(iova, address, pages: 1, permissions)
  }
}
