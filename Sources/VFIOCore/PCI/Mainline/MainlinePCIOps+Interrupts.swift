import ClientAccess
import SystemPackage
import VFIOABI

/// `VFIO_DEVICE_SET_IRQS` (drivers/vfio/pci/vfio_pci_intrs.c).
extension MainlinePCIOps {
  /// What came with the call, one for each interrupt.
  private enum Data {
    case none
    case bools([Bool])
    case eventfds([Int32])
  }

  func setIRQs(
    _ function: PCIFunction, _ argument: UInt64, _ client: any Client
  ) throws(Errno) {
    let header = try client.argument(Mainline.IRQSet.self, at: argument)
    guard header.flags.isSubset(of: [.data, .actions]),
      let index = Mainline.PCIInterrupt(rawValue: header.index)
    else { throw .invalidArgument }
    let (end, overflow) = header.start.addingReportingOverflow(header.count)
    guard !overflow, header.start < count(of: index, function), end <= count(of: index, function)
    else { throw .invalidArgument }
    let range = Int(header.start)..<Int(end)
    let data = try data(of: header, argument, client)
    let action = header.flags.intersection(.actions)
    switch (index, action) {
    case (.intx, .mask): try mask(function.pins, range, data)
    case (.intx, .unmask): try unmask(function.pins, range, data, client)
    case (.intx, .trigger): try triggerINTx(function.pins, range, data, client)
    case (.msi, .trigger): try triggerMessages(.msi, function.pins, range, data, client)
    case (.msix, .trigger): try triggerMessages(.msix, function.pins, range, data, client)
    case (.error, .trigger): try trigger(.error, function.events, range, data, client)
    case (.request, .trigger): try trigger(.request, function.events, range, data, client)
    default: throw .inappropriateIOCTLForDevice
    }
  }

  /// - Throws: `EINVAL` where it is not of exactly one type or more than `argsz` holds.
  private func data(
    of header: Mainline.IRQSet, _ argument: UInt64, _ client: any Client
  ) throws(Errno) -> Data {
    let room = Int(header.argsz) - Mainline.IRQSet.size
    let count = Int(header.count)
    func bytes(_ size: Int) throws(Errno) -> [UInt8] {
      guard room >= count * size else { throw .invalidArgument }
      guard let start = ClientAddress(argument).advanced(by: UInt64(Mainline.IRQSet.size)) else {
        throw .badAddress
      }
      return try client.loadBytes(count * size, from: start)
    }
    switch header.flags.intersection(.data) {
    case .none: return .none
    case .bool: return .bools(try bytes(1).map { $0 != 0 })
    case .eventfd:
      let bytes = try bytes(4)
      return .eventfds(
        stride(from: 0, to: bytes.count, by: 4).map { i in
          (0..<4).reduce(0) { $0 | Int32(truncatingIfNeeded: UInt32(bytes[i + $1]) << (8 * $1)) }
        })
    default: throw .invalidArgument
    }
  }

  // MARK: - INTx

  /// - Throws: `EINVAL` when INTx is off or `range` is not it.
  private func checkINTx(_ pins: PCIPins, _ range: Range<Int>) throws(Errno) {
    guard pins.enabled == .intx, range == 0..<1 else { throw .invalidArgument }
  }

  private func mask(_ pins: PCIPins, _ range: Range<Int>, _ data: Data) throws(Errno) {
    try checkINTx(pins, range)
    switch data {
    case .none, .bools([true]): try pins.maskINTx()
    case .bools: break
    case .eventfds: throw .inappropriateIOCTLForDevice
    }
  }

  private func unmask(
    _ pins: PCIPins, _ range: Range<Int>, _ data: Data, _ client: any Client
  ) throws(Errno) {
    try checkINTx(pins, range)
    switch data {
    case .none, .bools([true]): try pins.unmaskINTx()
    case .bools: break
    case .eventfds(let descriptors):
      guard let descriptor = descriptors.first, descriptor >= 0 else {
        return pins.clearUnmaskSignal()
      }
      let signal = try client.eventfd(descriptor)
      guard pins.hasNoUnmaskSignal else { throw .resourceBusy }
      try pins.setUnmaskSignal(signal)
    }
  }

  private func triggerINTx(
    _ pins: PCIPins, _ range: Range<Int>, _ data: Data, _ client: any Client
  ) throws(Errno) {
    let enabled = pins.enabled
    if enabled == .intx, range.isEmpty, case .none = data { return try pins.clearSignals(.intx) }
    guard enabled == .intx || enabled == nil, range == 0..<1 else { throw .invalidArgument }
    if case .eventfds(let descriptors) = data {
      var signals: [(any EventSignal)?] = []
      for descriptor in descriptors {
        signals.append(descriptor < 0 ? nil : try client.eventfd(descriptor))
      }
      if enabled == nil { return try pins.setSignals(.intx, signals) }
      return try pins.replace(.intx, range, signals)
    }
    guard enabled == .intx else { throw .invalidArgument }
    if case .bools([false]) = data { return }
    pins.loopBackINTx()
  }

  // MARK: - MSI and MSI-X

  private func triggerMessages(
    _ interrupt: PCIInterrupt, _ pins: PCIPins, _ range: Range<Int>, _ data: Data,
    _ client: any Client
  ) throws(Errno) {
    let enabled = pins.enabled
    if enabled == interrupt, range.isEmpty, case .none = data {
      return try pins.clearSignals(interrupt)
    }
    guard enabled == interrupt || enabled == nil else { throw .invalidArgument }
    if case .eventfds(let descriptors) = data {
      // What the kernel says to no vectors at all.
      if enabled == nil, range.upperBound == 0 { throw .outOfRange }
      if enabled != nil, range.upperBound > pins.vectorCount { throw .invalidArgument }
      var signals: [(any EventSignal)?] = []
      do throws(Errno) {
        for descriptor in descriptors {
          signals.append(descriptor < 0 ? nil : try client.eventfd(descriptor))
        }
      } catch {
        // The kernel takes the old ones away as it goes, and in the end those that it had set.
        if enabled != nil {
          let lost = range.prefix(signals.count + 1)
          try pins.replace(interrupt, lost, lost.map { _ in nil })
        }
        throw error
      }
      if enabled != nil { return try pins.replace(interrupt, range, signals) }
      let skipped = [(any EventSignal)?](repeating: nil, count: range.lowerBound)
      return try pins.setSignals(interrupt, skipped + signals)
    }
    guard enabled == interrupt, range.upperBound <= pins.vectorCount else {
      throw .invalidArgument
    }
    for (i, vector) in range.enumerated() {
      if case .bools(let bools) = data, !bools[i] { continue }
      pins.loopBack(interrupt, vector)
    }
  }

  // MARK: - ERR and REQ

  private func trigger(
    _ kind: PCIClientEvents.Kind, _ events: PCIClientEvents, _ range: Range<Int>, _ data: Data,
    _ client: any Client
  ) throws(Errno) {
    switch data {
    case .none:
      let signal = try events.update { state throws(Errno) in
        guard let signal = state[kind] else { throw .invalidArgument }
        if range.isEmpty { state[kind] = nil }
        return signal
      }
      if !range.isEmpty { signal.signal() }
    case .bools(let bools):
      guard let isSet = bools.first else { throw .invalidArgument }
      if isSet { events.signal(kind) }
    case .eventfds(let descriptors):
      guard let descriptor = descriptors.first else { throw .invalidArgument }
      // The kernel takes other numbers below 0 without doing anything.
      if descriptor < -1 { return }
      let signal = descriptor == -1 ? nil : try client.eventfd(descriptor)
      events.update { $0[kind] = signal }
    }
  }
}
