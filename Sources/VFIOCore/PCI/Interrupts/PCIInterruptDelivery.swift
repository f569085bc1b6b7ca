import ClientAccess
import VFIOABI

/// Where a function's interrupts go.
enum PCIInterruptDelivery {
  case off
  case intx(INTx)
  /// MSI or MSI-X: one entry a vector that the client enabled, nil for those without an eventfd.
  case messages(PCIInterrupt, [(any EventSignal)?])

  struct INTx {
    var signal: (any EventSignal)?
    /// Set when it is signalled, until it is unmasked.
    var isMasked = false
    var unmask: (any EventWatch)?
  }

  /// The interrupt that is enabled, and how many vectors of it.
  var enabled: (interrupt: PCIInterrupt, vectors: Int)? {
    switch self {
    case .off: nil
    case .intx: (.intx, 1)
    case .messages(let interrupt, let signals): (interrupt, signals.count)
    }
  }
}

extension PCIPins.State {
  /// Whether messages replace the pin. While they do, the pin is low, whatever the model drives
  /// (PCI Local Bus 3.0, 6.8.1).
  var isMessaging: Bool {
    switch delivery {
    case .messages(.msi, _): config.isMSIOn
    case .messages: true
    case .off, .intx: false
    }
  }

  /// Brings the status register in line with the pin, and masks INTx where it is to be signalled.
  ///
  /// - Returns: what to signal, with the lock released.
  mutating func dueINTx() -> (any EventSignal)? {
    config.isINTxAsserted = line && !isMessaging && config.isPowered
    guard config.isINTxAsserted, !config.command.contains(.intxDisable),
      case .intx(var intx) = delivery, !intx.isMasked
    else { return nil }
    intx.isMasked = true
    delivery = .intx(intx)
    return intx.signal
  }

  /// Takes the messages that could not be sent before and can be now.
  ///
  /// - Returns: what to signal, with the lock released.
  mutating func dueMessages() -> [any EventSignal] {
    guard isMessaging, config.isBusMaster, case .messages(let interrupt, let signals) = delivery
    else { return [] }
    var due: [any EventSignal] = []
    switch interrupt {
    case .msi:
      let ready = config.msiPending & ~config.msiMask
      if ready == 0 { return [] }
      config.msiPending &= ~ready
      for vector in signals.indices where ready >> UInt32(vector) & 1 != 0 {
        if let signal = signals[vector] { due.append(signal) }
      }
    case .msix:
      if pendingMSIX.isEmpty { return [] }
      for vector in signals.indices {
        if let signal = signals[vector], pendingMSIX.remove(vector) { due.append(signal) }
      }
    case .intx: break
    }
    return due
  }

  /// The model sends a message. One that is masked is pending: software sees the bit, and it goes out when
  /// it is unmasked.
  ///
  /// - Returns: whether it is on its way, and what to signal, with the lock released.
  mutating func send(_ vector: Int) -> (isSent: Bool, signal: (any EventSignal)?) {
    guard isMessaging, config.isBusMaster, case .messages(let interrupt, let signals) = delivery
    else { return (false, nil) }
    switch interrupt {
    case .msi:
      // A message of MSI that software has not enabled does not exist.
      guard signals.indices.contains(vector) else { return (false, nil) }
      if config.msiMask >> UInt32(vector) & 1 != 0 {
        config.msiPending |= 1 << UInt32(vector)
        return (true, nil)
      }
      return (true, signals[vector])
    case .msix:
      // The kernel unmasks the vectors of the table that it has a use for.
      if signals.indices.contains(vector), let signal = signals[vector] { return (true, signal) }
      return (pendingMSIX.insert(vector), nil)
    case .intx: return (false, nil)
    }
  }
}
