import ClientAccess

/// Where a function's interrupts go.
enum PCIInterruptDelivery {
  case off
  case intx(INTx)
  /// One entry a vector that the client enabled, nil for those it skipped.
  case msi([(any EventSignal)?])

  struct INTx {
    var signal: (any EventSignal)?
    /// Set when it is signalled, until it is unmasked.
    var isMasked = false
    var unmask: (any EventWatch)?
  }
}

extension PCIPins.State {
  /// Whether messages replace the pin. While they do, the pin is low, whatever the model drives
  /// (PCI Local Bus 3.0, 6.8.1).
  var isMSIEnabled: Bool {
    if case .msi = delivery { config.isMSIEnabled } else { false }
  }

  /// Brings the status register in line with the pin, and masks INTx where it is to be signalled.
  ///
  /// - Returns: what to signal, with the lock released.
  mutating func dueINTx() -> (any EventSignal)? {
    config.isINTxAsserted = line && !isMSIEnabled
    guard config.isINTxAsserted, !config.command.contains(.intxDisable),
      case .intx(var intx) = delivery, !intx.isMasked
    else { return nil }
    intx.isMasked = true
    delivery = .intx(intx)
    return intx.signal
  }
}
