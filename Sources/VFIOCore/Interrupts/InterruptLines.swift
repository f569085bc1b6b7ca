import ClientAccess
import Synchronization
public import SystemPackage

/// The interrupts of a device whose indexes know nothing of each other, and where a client wants them.
///
/// A level-triggered one is masked when it is signalled; it fires again when it is unmasked, at once where
/// the wire is still high. One lock guards them and is never held across an eventfd.
public final class InterruptLines: Sendable {
  /// The interrupts at one index.
  public struct Line: Hashable, Sendable {
    /// How many there are.
    public var count: Int
    /// Level-triggered, as opposed to by edge.
    public var isLevel: Bool

    public init(count: Int = 1, isLevel: Bool) {
      self.count = count
      self.isLevel = isLevel
    }
  }

  private struct State {
    /// Whether the wire is high; for levels.
    var isAsserted = false
    /// Where they go, nil while the client has not set them.
    var signals: [(any EventSignal)?]?
    var isMasked = false
    var unmask: (any EventWatch)?

    /// Masks a level that is to be signalled.
    mutating func due() -> (any EventSignal)? {
      guard isAsserted, !isMasked, let signals else { return nil }
      isMasked = true
      return signals.first ?? nil
    }

    /// The wires stay as they are.
    mutating func turnOff() -> (any EventWatch)? {
      defer { self = State(isAsserted: isAsserted) }
      return unmask
    }
  }

  public let lines: [Line]
  private let states: Mutex<[State]>

  public init(_ lines: [Line]) {
    self.lines = lines
    states = Mutex(Array(repeating: State(), count: lines.count))
  }

  /// The device drives a wire. Edges that no client waits for are lost.
  ///
  /// - Throws: `EINVAL` for one that is not there.
  public func set(_ index: Int, _ subindex: Int = 0, asserted: Bool) throws(Errno) {
    guard lines.indices.contains(index), subindex >= 0, subindex < lines[index].count else {
      throw .invalidArgument
    }
    let signal = states.withLock { states -> (any EventSignal)? in
      if lines[index].isLevel {
        states[index].isAsserted = asserted
        return states[index].due()
      }
      guard asserted, let signals = states[index].signals, subindex < signals.count else {
        return nil
      }
      return signals[subindex]
    }
    signal?.signal()
  }

  func checkSignalsFree(_ index: Int) throws(Errno) {
    let isSet = states.withLock { $0[index].signals != nil }
    if isSet { throw .invalidArgument }
  }

  func setSignals(_ index: Int, _ signals: [(any EventSignal)?]) throws(Errno) {
    try change(index) { state throws(Errno) in
      if state.signals != nil { throw .invalidArgument }
      state.signals = signals
    }
  }

  func clearSignals(_ index: Int) throws(Errno) {
    let ended = try change(index) { state throws(Errno) -> (any EventWatch)? in
      if state.signals == nil { throw .invalidArgument }
      return state.turnOff()
    }
    ended?.cancel()
  }

  /// Disables all interrupts and drops their eventfds.
  public func clearAll() {
    let ended = states.withLock { states in states.indices.map { states[$0].turnOff() } }
    for watch in ended { watch?.cancel() }
  }

  func unmask(_ index: Int) throws(Errno) {
    try change(index) { state throws(Errno) in
      if state.signals == nil { throw .invalidArgument }
      state.isMasked = false
    }
  }

  func checkUnmaskSignalFree(_ index: Int) throws(Errno) {
    let isFree = states.withLock { $0[index].signals != nil && $0[index].unmask == nil }
    if !isFree { throw .invalidArgument }
  }

  func setUnmaskSignal(_ index: Int, _ signal: any EventSignal) throws(Errno) {
    let watch = try signal.watch { [weak self] in
      // A signal that comes when the interrupt has just been cleared unmasks nothing.
      do throws(Errno) { try self?.unmask(index) } catch {}
    }
    do throws(Errno) {
      try change(index) { state throws(Errno) in
        guard state.signals != nil, state.unmask == nil else { throw .invalidArgument }
        state.unmask = watch
      }
    } catch {
      watch.cancel()
      throw error
    }
  }

  func clearUnmaskSignal(_ index: Int) {
    let ended = states.withLock { states in
      defer { states[index].unmask = nil }
      return states[index].unmask
    }
    ended?.cancel()
  }

  /// Changes an index's state, then signals where the change makes that due.
  private func change<Result: Sendable>(
    _ index: Int, _ change: (inout State) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let (result, signal) = try states.withLock { states throws(Errno) in
      let result = try change(&states[index])
      return (result, lines[index].isLevel ? states[index].due() : nil)
    }
    signal?.signal()
    return result
  }
}
