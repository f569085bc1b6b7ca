import ClientAccess
import SystemPackage
import VFIOABI

/// What a client of today's API asks of a function.
extension MainlinePCIOps {
  func getInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Mainline.DeviceInfo.self, at: argument)
    info.flags = function.hasReset ? [.pci, .reset] : .pci
    info.numRegions = UInt32(Mainline.pciRegions)
    info.numIRQs = UInt32(Mainline.PCIInterrupt.allCases.count)
    try client.store(info, to: ClientAddress(argument))
    let capOffset = Mainline.DeviceInfo.capOffset
    if Int(info.argsz) >= capOffset + 4 {
      try client.store([0, 0, 0, 0], at: argument, offset: capOffset)
    }
  }

  func getRegionInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Mainline.RegionInfo.self, at: argument)
    guard let region = PCIRegion(rawValue: info.index) else { throw .invalidArgument }
    info.offset = region.fileOffset
    info.size = function.size(of: region)
    info.flags = info.size == 0 ? [] : region == .rom ? .read : [.read, .write]
    var chain = Mainline.CapabilityChain()
    if function.canMap(region, client) {
      info.flags.insert(.mmap)
      // The table may be mapped along with the rest of its BAR.
      if let bar = region.bar, function.kind.description.msix?.table.bar == bar {
        chain.append(id: Mainline.RegionInfo.Capability.msixMappable)
      }
    }
    if !chain.isEmpty {
      let size = Mainline.RegionInfo.size
      info.flags.insert(.caps)
      info.capOffset = 0
      if Int(info.argsz) < size + chain.size {
        info.argsz = UInt32(size + chain.size)
      } else {
        try client.store(chain.bytes(at: size), at: argument, offset: size)
        info.capOffset = UInt32(size)
      }
    }
    try client.store(info, to: ClientAddress(argument))
  }

  func getIRQInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Mainline.IRQInfo.self, at: argument)
    guard let index = Mainline.PCIInterrupt(rawValue: info.index),
      index != .error || function.isExpress
    else { throw .invalidArgument }
    info.count = UInt32(count(of: index, function))
    info.flags = [.eventfd]
    info.flags.formUnion(index == .intx ? [.maskable, .automasked] : .noResize)
    try client.store(info, to: ClientAddress(argument))
  }

  /// How many of an interrupt the function has.
  func count(of index: Mainline.PCIInterrupt, _ function: PCIFunction) -> Int {
    switch index {
    case .intx: function.count(of: .intx)
    case .msi: function.count(of: .msi)
    case .msix: function.count(of: .msix)
    case .error: function.isExpress ? 1 : 0
    case .request: 1
    }
  }

  // MARK: - Accesses

  /// How many of `count` bytes from `offset` of a region to pass on; all, but for configuration space, whose
  /// accesses across its end do what they can and then fail.
  func inside(_ region: PCIRegion, _ offset: UInt64, _ count: Int, of size: UInt64) -> Int {
    guard region == .config else { return count }
    return Int(min(UInt64(count), size - min(offset, size)))
  }

  /// - Throws: `EFAULT` for an access to configuration space that was not all inside.
  func checked(_ done: Int, of wanted: Int, _ region: PCIRegion) throws(Errno) -> Int {
    if region == .config, done < wanted { throw .badAddress }
    return done
  }
}
