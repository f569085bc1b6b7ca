import ClientAccess
import SystemPackage
import VFIOABI

/// How the bus driver routes the function's interrupts to a client, for both ABIs.
///
/// One of INTx, MSI and MSI-X is enabled at a time. What a change leaves to end, a watch, is cancelled with no
/// lock held.
extension PCIPins {
  private typealias Ended = (any EventWatch)?

  /// The interrupt that is enabled and how many vectors of it; nil for none.
  var enabledInterrupt: (interrupt: PCIInterrupt, vectors: Int)? {
    look { $0.delivery.enabled }
  }

  /// Enables an interrupt, which goes to `signals`, one a vector; nil for those without an eventfd yet.
  ///
  /// - Throws: `EINVAL` while any interrupt is enabled: the kinds exclude each other.
  func enable(_ interrupt: PCIInterrupt, _ signals: [(any EventSignal)?]) throws(Errno) {
    try update { state throws(Errno) in
      guard case .off = state.delivery else { throw .invalidArgument }
      switch interrupt {
      case .intx:
        state.delivery = .intx(.init(signal: signals.first ?? nil))
      case .msi:
        state.delivery = .messages(.msi, signals)
        state.config.enableMSI(vectors: signals.count)
        // The kernel unmasks the vectors that it has a use for.
        state.config.msiMask = .max
        for (vector, signal) in signals.enumerated() where signal != nil {
          state.config.msiMask &= ~(1 << UInt32(vector))
        }
      case .msix:
        state.delivery = .messages(.msix, signals)
        state.config.setMSIX(enabled: true)
      }
    }
  }

  /// Gives a vector of the enabled interrupt another eventfd, or none. A message that is pending goes out.
  ///
  /// - Throws: `EINVAL` when `interrupt` is not enabled or has no such vector.
  func setSignal(
    _ interrupt: PCIInterrupt, vector: Int, _ signal: (any EventSignal)?
  ) throws(Errno) {
    try update { state throws(Errno) in
      switch (interrupt, state.delivery) {
      case (.intx, .intx(var intx)) where vector == 0:
        intx.signal = signal
        state.delivery = .intx(intx)
      case (.msi, .messages(.msi, var signals)), (.msix, .messages(.msix, var signals)):
        guard signals.indices.contains(vector) else { throw .invalidArgument }
        signals[vector] = signal
        state.delivery = .messages(interrupt, signals)
        guard interrupt == .msi else { return }
        let bit: UInt32 = 1 << UInt32(vector)
        if signal == nil { state.config.msiMask |= bit } else { state.config.msiMask &= ~bit }
      default:
        throw .invalidArgument
      }
    }
  }

  /// Signals a vector's eventfd as if the function had, masked or not.
  ///
  /// - Throws: `EINVAL` when `interrupt` is not enabled or has no such vector.
  func loopback(_ interrupt: PCIInterrupt, vector: Int) throws(Errno) {
    let (isThere, signal) = look { state -> (Bool, (any EventSignal)?) in
      switch (interrupt, state.delivery) {
      case (.intx, .intx(let intx)): (vector == 0, intx.signal)
      case (.msi, .messages(.msi, let signals)), (.msix, .messages(.msix, let signals)):
        signals.indices.contains(vector) ? (true, signals[vector]) : (false, nil)
      default: (false, nil)
      }
    }
    guard isThere else { throw .invalidArgument }
    signal?.signal()
  }

  /// Disables an interrupt and drops its eventfds.
  ///
  /// - Throws: `EINVAL` when it is not enabled.
  func disable(_ interrupt: PCIInterrupt) throws(Errno) {
    let ended: Ended = try update { state throws(Errno) in
      guard state.delivery.enabled?.interrupt == interrupt else { throw .invalidArgument }
      return state.turnOff()
    }
    ended?.cancel()
  }

  /// Disables whatever interrupt is enabled.
  func disableAll() {
    let ended: Ended = update { $0.turnOff() }
    ended?.cancel()
  }

  // MARK: - Masking INTx

  /// Keeps INTx from firing until it is unmasked.
  ///
  /// - Throws: `EINVAL` when INTx is not enabled.
  func maskINTx() throws(Errno) {
    try setINTx(masked: true)
  }

  /// Lets INTx fire again; at once where the line is still asserted.
  ///
  /// - Throws: `EINVAL` when INTx is not enabled.
  func unmaskINTx() throws(Errno) {
    try setINTx(masked: false)
  }

  private func setINTx(masked: Bool) throws(Errno) {
    try update { state throws(Errno) in
      guard case .intx(var intx) = state.delivery else { throw .invalidArgument }
      intx.isMasked = masked
      state.delivery = .intx(intx)
    }
  }

  /// Unmasks INTx each time the client signals `signal`.
  ///
  /// - Throws: `EINVAL` when INTx is not enabled, `EBUSY` when it has such a signal already, and what the
  ///   watch throws.
  func setUnmaskSignal(_ signal: any EventSignal) throws(Errno) {
    let watch = try signal.watch { [weak self] in
      // A signal that comes when INTx has just been disabled unmasks nothing.
      do throws(Errno) { try self?.unmaskINTx() } catch {}
    }
    do throws(Errno) {
      try update { state throws(Errno) in
        guard case .intx(var intx) = state.delivery else { throw .invalidArgument }
        guard intx.unmask == nil else { throw .resourceBusy }
        intx.unmask = watch
        state.delivery = .intx(intx)
      }
    } catch {
      watch.cancel()
      throw error
    }
  }

  /// Whether INTx is enabled and has a signal that unmasks it; nil where it is not enabled.
  var hasUnmaskSignal: Bool? {
    look { state in
      if case .intx(let intx) = state.delivery { intx.unmask != nil } else { nil }
    }
  }

  /// Removes the signal that unmasks INTx, where there is one.
  func clearUnmaskSignal() {
    let ended: Ended = update { state in
      guard case .intx(var intx) = state.delivery else { return nil }
      defer {
        intx.unmask = nil
        state.delivery = .intx(intx)
      }
      return intx.unmask
    }
    ended?.cancel()
  }
}

extension PCIPins.State {
  /// Ends the delivery of any interrupt; the line may go through to the pin again.
  ///
  /// - Returns: the watch that ends.
  fileprivate mutating func turnOff() -> (any EventWatch)? {
    defer {
      delivery = .off
      config.disableMSI()
      config.setMSIX(enabled: false)
      pendingMSIX.removeAll()
    }
    if case .intx(let intx) = delivery { return intx.unmask }
    return nil
  }
}
