import ClientAccess
import SystemPackage
import VFIOABI

/// What today's `SET_IRQS` does to an interrupt that is enabled, beyond what the draft can.
extension PCIPins {
  /// The interrupt that the client has enabled; one excludes the others.
  var enabled: PCIInterrupt? { look { $0.delivery.interrupt } }

  /// How many vectors it has enabled.
  var vectorCount: Int { look { $0.delivery.signals.count } }

  var hasNoUnmaskSignal: Bool {
    look { state in if case .intx(let intx) = state.delivery { intx.unmask == nil } else { true } }
  }

  /// - Throws: `EINVAL` when INTx is off.
  func maskINTx() throws(Errno) {
    try update { state throws(Errno) in
      guard case .intx(var intx) = state.delivery else { throw .invalidArgument }
      intx.isMasked = true
      state.delivery = .intx(intx)
    }
  }

  /// Gives vectors that are enabled other signals.
  ///
  /// - Throws: `EINVAL` when the interrupt or one of the vectors is not enabled.
  func replace(
    _ interrupt: PCIInterrupt, _ range: Range<Int>, _ signals: [(any EventSignal)?]
  ) throws(Errno) {
    try update { state throws(Errno) in
      guard state.delivery.interrupt == interrupt,
        range.upperBound <= state.delivery.signals.count
      else { throw .invalidArgument }
      for (vector, signal) in zip(range, signals) { state.delivery.signals[vector] = signal }
    }
  }

  /// Signals INTx as if the pin had; only a client that disables it in the command register does not get it.
  func loopBackINTx() {
    let signal = look { state -> (any EventSignal)? in
      guard case .intx(let intx) = state.delivery, !state.config.command.contains(.intxDisable)
      else { return nil }
      return intx.signal
    }
    signal?.signal()
  }

  /// Signals a vector as if the function had sent its message.
  func loopBack(_ interrupt: PCIInterrupt, _ vector: Int) {
    let signal = look { state -> (any EventSignal)? in
      let signals = state.delivery.signals
      guard state.delivery.interrupt == interrupt, signals.indices.contains(vector) else {
        return nil
      }
      return signals[vector]
    }
    signal?.signal()
  }
}

extension PCIInterruptDelivery {
  var interrupt: PCIInterrupt? {
    switch self {
    case .off: nil
    case .intx: .intx
    case .msi: .msi
    }
  }

  /// One for each vector that is enabled.
  var signals: [(any EventSignal)?] {
    get {
      switch self {
      case .off: []
      case .intx(let intx): [intx.signal]
      case .msi(let signals): signals
      }
    }
    set {
      switch self {
      case .off: break
      case .intx(var intx):
        intx.signal = newValue.first ?? nil
        self = .intx(intx)
      case .msi: self = .msi(newValue)
      }
    }
  }
}
