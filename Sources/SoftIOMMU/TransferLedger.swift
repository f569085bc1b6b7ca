import DeviceKit
import Synchronization

/// A DMA transfer under way. Whoever takes its gate waits until the transfer is over.
final class Transfer: Sendable {
  private let gate = Mutex(())

  /// Runs the transfer with the gate shut.
  func run<Result>(_ body: () -> Result) -> Result {
    gate.withLock { _ in body() }
  }

  /// Waits for the end of `run`, which must have begun.
  func wait() {
    gate.withLock { _ in }
  }
}

/// The transfers that may be touching client memory, with the addresses that they go to.
struct TransferLedger {
  private var entries: [(transfer: Transfer, range: ClosedRange<IOVA>)] = []

  mutating func begin(_ transfer: Transfer, _ range: ClosedRange<IOVA>) {
    entries.append((transfer, range))
  }

  mutating func end(_ transfer: Transfer) {
    entries.removeAll { $0.transfer === transfer }
  }

  func transfers(overlapping range: ClosedRange<IOVA>) -> [Transfer] {
    entries.filter { $0.range.overlaps(range) }.map(\.transfer)
  }
}
