import ClientAccess
import SystemPackage
import VFIOABI

/// How the bus driver routes the function's interrupts to a client.
extension PCIPins {
  /// What a change leaves to end: a watch is cancelled with no lock held, since that waits for its handler.
  private typealias Ended = (any EventWatch)?

  /// Fails like `setSignals` where it would for the state as it is now.
  ///
  /// - Throws: `EINVAL` while any interrupt is set: the kinds exclude each other, and one has to be cleared
  ///   before it is set anew.
  func checkNoneSet() throws(Errno) {
    let isSet = look { state in if case .off = state.delivery { false } else { true } }
    if isSet { throw .invalidArgument }
  }

  /// Enables an interrupt, which goes to `signals`, one a vector; nil for those to skip.
  ///
  /// - Throws: `EINVAL` while any interrupt is set, and for MSI-X.
  func setSignals(
    _ interrupt: PCIInterrupt, _ signals: [(any EventSignal)?]
  ) throws(Errno) {
    try update { state throws(Errno) in
      guard case .off = state.delivery else { throw .invalidArgument }
      switch interrupt {
      case .intx:
        state.delivery = .intx(.init(signal: signals.first ?? nil))
      case .msi:
        state.delivery = .msi(signals)
        state.config.setMSI(enabled: true)
      case .msix:
        throw .invalidArgument
      }
    }
  }

  /// Disables an interrupt and drops its eventfds.
  ///
  /// - Throws: `EINVAL` when it is not set.
  func clearSignals(_ interrupt: PCIInterrupt) throws(Errno) {
    let ended: Ended = try update { state throws(Errno) in
      switch (interrupt, state.delivery) {
      case (.intx, .intx(let intx)):
        state.delivery = .off
        return intx.unmask
      case (.msi, .msi):
        state.turnOff()
        return nil
      default:
        throw .invalidArgument
      }
    }
    ended?.cancel()
  }

  /// Disables whatever interrupt is set.
  func clearAllSignals() {
    let ended: Ended = update { state in
      defer { state.turnOff() }
      if case .intx(let intx) = state.delivery { return intx.unmask }
      return nil
    }
    ended?.cancel()
  }

  /// Lets INTx fire again; at once where the line is still asserted.
  ///
  /// - Throws: `EINVAL` when INTx is not set.
  func unmaskINTx() throws(Errno) {
    try update { state throws(Errno) in
      guard case .intx(var intx) = state.delivery else { throw .invalidArgument }
      intx.isMasked = false
      state.delivery = .intx(intx)
    }
  }

  /// Unmasks INTx each time the client signals `signal`.
  ///
  /// - Throws: `EINVAL` when INTx is not set or has such a signal already, and what the watch throws.
  func setUnmaskSignal(_ signal: any EventSignal) throws(Errno) {
    let watch = try signal.watch { [weak self] in
      // A signal that comes when INTx has just been cleared unmasks nothing.
      do throws(Errno) { try self?.unmaskINTx() } catch {}
    }
    do throws(Errno) {
      try update { state throws(Errno) in
        guard case .intx(var intx) = state.delivery, intx.unmask == nil else {
          throw .invalidArgument
        }
        intx.unmask = watch
        state.delivery = .intx(intx)
      }
    } catch {
      watch.cancel()
      throw error
    }
  }

  /// - Throws: `EINVAL` when INTx is not set or has a signal that unmasks it.
  func checkUnmaskSignalFree() throws(Errno) {
    let isFree = look { state in
      if case .intx(let intx) = state.delivery { intx.unmask == nil } else { false }
    }
    if !isFree { throw .invalidArgument }
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
  fileprivate mutating func turnOff() {
    delivery = .off
    config.setMSI(enabled: false)
  }
}
