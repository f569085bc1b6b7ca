import CLinux
public import DeviceKit
import Synchronization

/// A transfer that did not go through, or not all of it.
public struct DMAFaultEvent: Sendable {
  public enum Direction: String, Sendable {
    case read
    case write
    case atomic
  }

  public var device: String
  /// Where it happened first, and why.
  public var fault: DMAFault
  /// What the device wanted to do.
  public var direction: Direction
  /// Bytes of the whole transfer.
  public var count: Int
  /// The mapping that is the least away from the fault's address, nil where there is none.
  public var nearest: ClosedRange<IOVA>?

  public init(
    device: String, fault: DMAFault, direction: Direction, count: Int,
    nearest: ClosedRange<IOVA>?
  ) {
    self.device = device
    self.fault = fault
    self.direction = direction
    self.count = count
    self.nearest = nearest
  }
}

extension DMAFaultEvent: CustomStringConvertible {
  /// `0000:06:0d.0: write of 64 bytes: nothing is mapped at IOVA 0x2000; the nearest mapping is 0x1000-0x1fff`.
  public var description: String {
    let near =
      nearest.map { "the nearest mapping is \($0.lowerBound)-\($0.upperBound)" }
      ?? "nothing is mapped at all"
    return "\(device): \(direction) of \(count) bytes: \(fault); \(near)"
  }
}

/// Counts DMA faults, and tells of some: a device may make millions a second.
///
/// At most `burst` in a row, and one more for each `interval`.
public final class DMAFaultLog: Sendable {
  private struct State {
    var count: UInt64 = 0
    var untold: UInt64 = 0
    var credit: Int
    var refilledAt: UInt64 = 0
  }

  public static let burst = 10
  /// Nanoseconds.
  public static let interval: UInt64 = 1_000_000_000

  private let state = Mutex(State(credit: burst))
  private let now: @Sendable () -> UInt64
  private let tell: @Sendable (DMAFaultEvent, UInt64) -> Void

  /// - Parameters:
  ///   - now: a clock in nanoseconds; nil for the monotonic one.
  ///   - tell: is given an event, and how many there were since the last that it was not given.
  public init(
    now: (@Sendable () -> UInt64)? = nil,
    tell: @escaping @Sendable (DMAFaultEvent, UInt64) -> Void
  ) {
    self.now = now ?? { cl_monotonic() }
    self.tell = tell
  }

  /// All faults so far.
  public var count: UInt64 { state.withLock { $0.count } }

  public func note(_ event: DMAFaultEvent) {
    let time = now()
    let untold: UInt64? = state.withLock { state in
      state.count += 1
      let earned = (time &- state.refilledAt) / Self.interval
      if earned > 0 {
        state.credit = min(Self.burst, state.credit + Int(min(earned, UInt64(Self.burst))))
        state.refilledAt = time
      }
      guard state.credit > 0 else {
        state.untold += 1
        return nil
      }
      state.credit -= 1
      defer { state.untold = 0 }
      return state.untold
    }
    if let untold { tell(event, untold) }
  }
}
