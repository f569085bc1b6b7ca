import ClientAccess
import DeviceKit
import SystemPackage
import VFIOABI

/// `VFIO_DEVICE_FEATURE` and `VFIO_DEVICE_IOEVENTFD`.
extension MainlinePCIOps {
  /// The features that there are: all about low power, and all only to be set.
  private enum Feature: UInt32 {
    case lowPowerEntry = 3
    case lowPowerEntryWithWakeup
    case lowPowerExit
  }

  func feature(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let header = try client.argument(Mainline.DeviceFeature.self, at: argument)
    let flags = header.flags
    guard flags.isSubset(of: [.feature, .get, .set, .probe]),
      flags.contains(.probe) || !flags.isSuperset(of: [.get, .set])
    else { throw .invalidArgument }
    guard let feature = Feature(rawValue: flags.intersection(.feature).rawValue) else {
      throw .inappropriateIOCTLForDevice
    }
    if flags.contains(.get) { throw .invalidArgument }
    if flags.contains(.probe) { return }
    guard flags.contains(.set) else { throw .invalidArgument }
    switch feature {
    case .lowPowerEntry:
      try enterLowPower(function, .low)
    case .lowPowerEntryWithWakeup:
      var entry = Mainline.LowPowerEntry()
      let needed = Mainline.DeviceFeature.size + MemoryLayout<Mainline.LowPowerEntry>.size
      guard Int(header.argsz) >= needed else { throw .invalidArgument }
      try client.load(&entry, at: argument, offset: Mainline.DeviceFeature.size)
      guard entry.wakeupEventfd >= 0 else { throw .invalidArgument }
      try enterLowPower(function, .lowUntilAccess(client.eventfd(entry.wakeupEventfd)))
    case .lowPowerExit:
      function.events.update { $0.power = .full }
    }
  }

  /// - Throws: `EINVAL` when the client has let it sleep already.
  private func enterLowPower(
    _ function: PCIFunction, _ power: PCIClientEvents.Power
  ) throws(Errno) {
    try function.events.update { state throws(Errno) in
      guard case .full = state.power else { throw .invalidArgument }
      state.power = power
    }
  }

  func ioeventfd(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let request = try client.argument(Mainline.IOEventFD.self, at: argument)
    let width = request.flags.intersection(.sizes).rawValue
    guard request.flags.isSubset(of: .sizes),
      width.nonzeroBitCount == 1, request.fd >= -1
    else { throw .invalidArgument }
    let place = RegionOffset(fileOffset: request.offset)
    guard let region = PCIRegion(rawValue: place.index), let bar = region.bar,
      place.offset < function.size(of: region),
      UInt64(width) <= function.size(of: region) - place.offset
    else { throw .invalidArgument }
    let bytes = place.offset..<(place.offset + UInt64(width))
    if let msix = function.kind.description.msix, msix.table.bar == bar,
      msix.tableRange.overlaps(bytes)
    {
      throw .invalidArgument
    }
    let key = PCIClientEvents.IOEventFD(
      bar: bar, offset: place.offset, data: request.data, width: Int(width))
    if request.fd < 0 { return try removeIOEventFD(key, function) }
    try function.events.update { state throws(Errno) in try state.checkFree(key) }
    let watch = try client.eventfd(request.fd).watch { [weak function] in
      // What a function without decoding does with a write: nothing.
      do throws(Errno) { try function?.write(key, region) } catch {}
    }
    do throws(Errno) {
      try function.events.update { state throws(Errno) in
        try state.checkFree(key)
        state.ioeventfds[key] = watch
      }
    } catch {
      watch.cancel()
      throw error
    }
  }

  private func removeIOEventFD(
    _ key: PCIClientEvents.IOEventFD, _ function: PCIFunction
  ) throws(Errno) {
    let watch = function.events.update { $0.ioeventfds.removeValue(forKey: key) }
    guard let watch else { throw .operationNotSupportedByDevice }
    watch.cancel()
  }
}

extension PCIClientEvents.State {
  fileprivate func checkFree(_ key: PCIClientEvents.IOEventFD) throws(Errno) {
    if ioeventfds[key] != nil { throw .fileExists }
    if ioeventfds.count >= PCIClientEvents.ioeventfdLimit { throw .noSpace }
  }
}

extension PCIFunction {
  fileprivate func write(
    _ event: PCIClientEvents.IOEventFD, _ region: PCIRegion
  ) throws(Errno) {
    try withUnsafeBytes(of: event.data.littleEndian) { bytes throws(Errno) in
      // SAFETY: the bytes are those of the value, at most 8 of them, for the length of the call.
      _ = try write(
        region, at: event.offset, from: UnsafeRawBufferPointer(rebasing: bytes[..<event.width]))
    }
  }
}
