import ClientAccess

extension PCIPins {
  /// Signals INTx as if the pin had, masked or not; only a client that has disabled it in the command
  /// register does not get it.
  func loopbackINTx() {
    let signal = look { state -> (any EventSignal)? in
      guard case .intx(let intx) = state.delivery, !state.config.command.contains(.intxDisable)
      else { return nil }
      return intx.signal
    }
    signal?.signal()
  }
}
