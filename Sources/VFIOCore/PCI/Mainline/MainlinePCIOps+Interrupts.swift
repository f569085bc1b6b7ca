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
    switch header.flags.intersection(.data) {
    case .none: return .none
    case .bool where room >= count:
      let bytes: [UInt8] = try client.array(count, at: argument, offset: Mainline.IRQSet.size)
      return .bools(bytes.map { $0 != 0 })
    case .eventfd where room >= count * MemoryLayout<Int32>.size:
      return .eventfds(try client.array(count, at: argument, offset: Mainline.IRQSet.size))
    default: throw .invalidArgument
    }
  }

  // MARK: - INTx

  /// - Throws: `EINVAL` when INTx is off or `range` is not it.
  private func checkINTx(_ pins: PCIPins, _ range: Range<Int>) throws(Errno) {
    guard pins.enabledInterrupt?.interrupt == .intx, range == 0..<1 else { throw .invalidArgument }
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
      try pins.setUnmaskSignal(signal)
    }
  }

  private func triggerINTx(
    _ pins: PCIPins, _ range: Range<Int>, _ data: Data, _ client: any Client
  ) throws(Errno) {
    let enabled = pins.enabledInterrupt?.interrupt
    if enabled == .intx, range.isEmpty, case .none = data { return try pins.disable(.intx) }
    guard enabled == .intx || enabled == nil, range == 0..<1 else { throw .invalidArgument }
    if case .eventfds(let descriptors) = data {
      for descriptor in descriptors {
        let signal = descriptor < 0 ? nil : try client.eventfd(descriptor)
        if enabled == nil { return try pins.enable(.intx, [signal]) }
        return try pins.setSignal(.intx, vector: 0, signal)
      }
    }
    guard enabled == .intx else { throw .invalidArgument }
    if case .bools([false]) = data { return }
    pins.loopbackINTx()
  }

  // MARK: - MSI and MSI-X

  private func triggerMessages(
    _ interrupt: PCIInterrupt, _ pins: PCIPins, _ range: Range<Int>, _ data: Data,
    _ client: any Client
  ) throws(Errno) {
    let enabled = pins.enabledInterrupt
    if enabled?.interrupt == interrupt, range.isEmpty, case .none = data {
      return try pins.disable(interrupt)
    }
    guard enabled == nil || enabled?.interrupt == interrupt else { throw .invalidArgument }
    guard case .eventfds(let descriptors) = data else {
      guard let enabled, range.upperBound <= enabled.vectors else { throw .invalidArgument }
      for (i, vector) in range.enumerated() {
        if case .bools(let bools) = data, !bools[i] { continue }
        try pins.loopback(interrupt, vector: vector)
      }
      return
    }
    guard let enabled else {
      // What the kernel says to no vectors at all.
      if range.upperBound == 0 { throw .outOfRange }
      var signals = [(any EventSignal)?](repeating: nil, count: range.lowerBound)
      for descriptor in descriptors {
        signals.append(descriptor < 0 ? nil : try client.eventfd(descriptor))
      }
      return try pins.enable(interrupt, signals)
    }
    guard range.upperBound <= enabled.vectors else { throw .invalidArgument }
    for (vector, descriptor) in zip(range, descriptors) {
      do throws(Errno) {
        let signal = descriptor < 0 ? nil : try client.eventfd(descriptor)
        try pins.setSignal(interrupt, vector: vector, signal)
      } catch {
        // The kernel has let go of the old one by then, and takes back what it has set.
        for lost in range.lowerBound...vector {
          try pins.setSignal(interrupt, vector: lost, nil)
        }
        throw error
      }
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
