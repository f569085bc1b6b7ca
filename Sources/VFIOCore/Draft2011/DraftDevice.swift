public import ClientAccess
public import SystemPackage
public import VFIOABI

/// What the draft ABI's device ioctls ask of a device, whatever its bus. Regions and interrupts go by index;
/// every index that comes in is below the count.
public protocol DraftDevice: Sendable {
  var flags: Draft2011.DeviceInfo.Flags { get }
  var regionCount: Int { get }
  var interruptCount: Int { get }

  /// Bytes, 0 for a region that the device does not have; and the region's flags, `mmap` where a client could
  /// map it that can map at all.
  func region(_ index: Int) -> (size: UInt64, flags: Draft2011.RegionInfo.Flags)

  /// How many interrupts there are at the index, 0 for none; and their flags.
  func interrupt(_ index: Int) -> (count: Int, flags: Draft2011.IRQInfo.Flags)

  /// - Throws: what `setSignals` would for the state as it is now.
  func checkSignalsFree(_ index: Int) throws(Errno)

  /// Enables the interrupts at an index, which go to `signals`; nil for those to skip.
  ///
  /// - Throws: `EINVAL` when they are set, or others that exclude them.
  func setSignals(_ index: Int, _ signals: [(any EventSignal)?]) throws(Errno)

  /// Disables them and drops their eventfds.
  ///
  /// - Throws: `EINVAL` when they are not set.
  func clearSignals(_ index: Int) throws(Errno)

  /// - Throws: `EINVAL` for an interrupt that is not level-triggered or not set.
  func unmask(_ index: Int) throws(Errno)

  /// - Throws: what `setUnmaskSignal` would for the state as it is now.
  func checkUnmaskSignalFree(_ index: Int) throws(Errno)

  /// Unmasks the interrupt each time the client signals `signal`.
  ///
  /// - Throws: `EINVAL` when it is not set or has such a signal already.
  func setUnmaskSignal(_ index: Int, _ signal: any EventSignal) throws(Errno)

  /// Removes that signal, where there is one.
  func clearUnmaskSignal(_ index: Int)

  /// - Throws: `EINVAL` where the device has no reset.
  func reset() throws(Errno)
}

/// Each ioctl copies in, checks size and flags, acts, copies out.
extension DraftDevice {
  /// - Throws: `ENOTTY` for a request that is none of the draft's for devices.
  public func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult {
    switch Draft2011.Request(rawValue: request) {
    case .deviceGetInfo: try getInfo(argument, client)
    case .deviceGetRegionInfo: try getRegionInfo(argument, client)
    case .deviceGetIRQInfo: try getIRQInfo(argument, client)
    case .deviceSetIRQEventfds: try setIRQEventfds(argument, client)
    case .deviceUnmaskIRQ: try unmaskIRQ(argument, client)
    case .deviceSetUnmaskIRQEventfds: try setUnmaskIRQEventfds(argument, client)
    case .deviceReset: try reset()
    default: throw .inappropriateIOCTLForDevice
    }
    return .value(0)
  }

  private func getInfo(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var info = try client.argument(Draft2011.DeviceInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    info.flags = flags
    info.numRegions = UInt32(regionCount)
    info.numIRQs = UInt32(interruptCount)
    try client.store(info, to: ClientAddress(argument))
  }

  private func getRegionInfo(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var info = try client.argument(Draft2011.RegionInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    guard info.index < UInt32(regionCount) else { throw .invalidArgument }
    (info.size, info.flags) = region(Int(info.index))
    if !client.canMap { info.flags.remove(.mmap) }
    info.offset = RegionOffset(index: info.index).fileOffset
    try client.store(info, to: ClientAddress(argument))
  }

  private func getIRQInfo(_ argument: UInt64, _ client: any Client) throws(Errno) {
    var info = try client.argument(Draft2011.IRQInfo.self, at: argument)
    try info.flags.check(knowing: .all)
    let (count, flags) = interrupt(try interruptIndex(info.index))
    info.count = UInt32(count)
    info.flags = flags
    try client.store(info, to: ClientAddress(argument))
  }

  private func setIRQEventfds(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let header = try eventfdsHeader(argument, client)
    let index = try interruptIndex(header.index)
    guard header.count <= UInt32(interrupt(index).count) else { throw .invalidArgument }
    if header.count == 0 { return try clearSignals(index) }
    let descriptors = try eventfds(header, argument, client)
    try checkSignalsFree(index)
    var signals: [(any EventSignal)?] = []
    for descriptor in descriptors {
      let isNone = descriptor == Draft2011.IRQEventfds.none
      signals.append(isNone ? nil : try client.eventfd(descriptor))
    }
    try setSignals(index, signals)
  }

  private func unmaskIRQ(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let unmask = try client.argument(Draft2011.UnmaskIRQ.self, at: argument)
    guard unmask.flags == 0, unmask.subindex == 0 else { throw .invalidArgument }
    try self.unmask(levelIndex(unmask.index))
  }

  private func setUnmaskIRQEventfds(_ argument: UInt64, _ client: any Client) throws(Errno) {
    let header = try eventfdsHeader(argument, client)
    let index = try levelIndex(header.index)
    guard header.count <= 1 else { throw .invalidArgument }
    let descriptor = try eventfds(header, argument, client).first ?? Draft2011.IRQEventfds.none
    if descriptor == Draft2011.IRQEventfds.none { return clearUnmaskSignal(index) }
    try checkUnmaskSignalFree(index)
    try setUnmaskSignal(index, client.eventfd(descriptor))
  }

  /// - Throws: `EINVAL` for an index that is out of range.
  private func interruptIndex(_ index: UInt32) throws(Errno) -> Int {
    guard index < UInt32(interruptCount) else { throw .invalidArgument }
    return Int(index)
  }

  /// - Throws: `EINVAL` for an index that is out of range, or is of interrupts that know no masking.
  private func levelIndex(_ index: UInt32) throws(Errno) -> Int {
    let index = try interruptIndex(index)
    guard interrupt(index).flags.contains(.level) else { throw .invalidArgument }
    return index
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
    try client.array(Int(header.count), at: argument, offset: Draft2011.IRQEventfds.size)
  }
}
