import ClientAccess
import SystemPackage
import VFIOABI

/// The draft ABI's device ioctls for PCI: each copies in, checks size and flags, acts, copies out.
extension PCIOps {
  func getInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Draft2011.DeviceInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    info.flags = function.hasReset ? [.pci, .reset] : .pci
    info.numRegions = UInt32(PCIRegion.allCases.count)
    info.numIRQs = UInt32(PCIInterrupt.allCases.count)
    try client.store(info, to: ClientAddress(argument))
  }

  func getRegionInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Draft2011.RegionInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    guard let region = PCIRegion(rawValue: info.index) else { throw .invalidArgument }
    info.size = function.size(of: region)
    info.offset = RegionOffset(index: info.index).fileOffset
    info.flags = region == .rom ? .readOnly : []
    if client.canMap, !function.mappableAreas(of: region, sparesMSIX: true).isEmpty {
      info.flags.insert(.mmap)
    }
    try client.store(info, to: ClientAddress(argument))
  }

  func getIRQInfo(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    var info = try client.argument(Draft2011.IRQInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    let interrupt = try interrupt(info.index)
    info.count = UInt32(function.count(of: interrupt))
    info.flags = interrupt == .intx ? .level : []
    try client.store(info, to: ClientAddress(argument))
  }

  func setIRQEventfds(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let header = try eventfdsHeader(argument, client)
    let interrupt = try interrupt(header.index)
    guard header.count <= UInt32(function.count(of: interrupt)) else { throw .invalidArgument }
    if header.count == 0 { return try function.pins.disable(interrupt) }
    let descriptors = try eventfds(header, argument, client)
    guard function.pins.enabledInterrupt == nil else { throw .invalidArgument }
    var signals: [(any EventSignal)?] = []
    for descriptor in descriptors {
      let isNone = descriptor == Draft2011.IRQEventfds.none
      signals.append(isNone ? nil : try client.eventfd(descriptor))
    }
    try function.pins.enable(interrupt, signals)
  }

  func unmaskIRQ(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let unmask = try client.argument(Draft2011.UnmaskIRQ.self, at: argument)
    guard unmask.flags == 0, try interrupt(unmask.index) == .intx, unmask.subindex == 0 else {
      throw .invalidArgument
    }
    try function.pins.unmaskINTx()
  }

  func setUnmaskIRQEventfds(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let header = try eventfdsHeader(argument, client)
    guard try interrupt(header.index) == .intx, header.count <= 1 else { throw .invalidArgument }
    let descriptor = try eventfds(header, argument, client).first ?? Draft2011.IRQEventfds.none
    if descriptor == Draft2011.IRQEventfds.none { return function.pins.clearUnmaskSignal() }
    guard function.pins.hasUnmaskSignal == false else { throw .invalidArgument }
    try function.pins.setUnmaskSignal(client.eventfd(descriptor))
  }

  /// - Throws: `EINVAL` for an index that is out of range.
  private func interrupt(_ index: UInt32) throws(Errno) -> PCIInterrupt {
    guard let interrupt = PCIInterrupt(rawValue: index) else { throw .invalidArgument }
    return interrupt
  }

  /// Copies in the structure up to its descriptors, whose number fits in `argsz`.
  private func eventfdsHeader(
    _ argument: UInt64, _ client: any Client
  ) throws(Errno) -> Draft2011.IRQEventfds {
    let header = try client.argument(Draft2011.IRQEventfds.self, at: argument)
    guard header.flags == 0, UInt64(header.argsz) >= header.fullSize else {
      throw .invalidArgument
    }
    return header
  }

  /// Copies in the descriptors, whose number has been checked.
  private func eventfds(
    _ header: Draft2011.IRQEventfds, _ argument: UInt64, _ client: any Client
  ) throws(Errno) -> [Int32] {
    let first = ClientAddress(argument).advanced(by: UInt64(Draft2011.IRQEventfds.size))
    var descriptors: [Int32] = []
    for i in 0..<UInt64(header.count) {
      guard let address = first?.advanced(by: i * 4) else { throw .badAddress }
      var descriptor: Int32 = 0
      try client.load(&descriptor, from: address)
      descriptors.append(descriptor)
    }
    return descriptors
  }
}
