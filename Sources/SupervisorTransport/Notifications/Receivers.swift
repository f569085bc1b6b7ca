import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Threads

/// The threads that take calls.
///
/// One takes and answers them: passing them around would cost every call a switch between threads. An
/// answer can depend on memory that a client withholds, so a second thread looks every now and then,
/// while there are calls, and takes over from one that does not come back.
final class Receivers: Sendable {
  /// A client that has so many calls stuck has nobody but itself to blame.
  private static let limit = 64
  /// How long a call may hold up all others.
  private static let patience: UInt32 = 2000
  /// After so many looks without a call, the watcher sleeps until there is one.
  private static let restlessness = 50

  private struct State {
    /// Changes hands: a thread whose number it is not stops taking calls.
    var leader = 0
    var lastLeader = 0
    var threads = 0
    var hasWatcher = false
    var isWatcherAwake = false
    /// Counts calls.
    var calls: UInt64 = 0
    var isBusy = false
  }

  private let listener: Listener
  private let handler: @Sendable (Call) -> Void
  private let state = Mutex(State())
  private let wake = Semaphore()

  init(_ listener: Listener, _ handler: @escaping @Sendable (Call) -> Void) {
    self.listener = listener
    self.handler = handler
  }

  /// Starts the first two.
  func start() throws(Errno) {
    state.withLock { $0.threads = 1 }
    try Thread.start(name: "calls") { self.lead(0) }
    try addWatcher()
  }

  private func addWatcher() throws(Errno) {
    let isWanted = state.withLock { state in
      guard !state.hasWatcher, state.threads < Self.limit else { return false }
      state.hasWatcher = true
      state.threads += 1
      return true
    }
    guard isWanted else { return }
    do throws(Errno) {
      try Thread.start(name: "calls") { self.watch() }
    } catch {
      state.withLock {
        $0.hasWatcher = false
        $0.threads -= 1
      }
      throw error
    }
  }

  /// Takes calls for as long as nobody else does.
  private func lead(_ me: Int) {
    while true {
      let call: Call
      do throws(Errno) {
        call = try listener.next()
      } catch .noSuchFileOrDirectory {
        continue
      } catch {
        return
      }
      let mustWake = state.withLock { state in
        state.calls &+= 1
        state.isBusy = true
        defer { state.isWatcherAwake = true }
        return !state.isWatcherAwake
      }
      if mustWake { wake.signal() }
      handler(call)
      let (isLeader, isWatcher) = state.withLock { state in
        if state.leader == me {
          state.isBusy = false
          return (true, false)
        }
        // Somebody took over meanwhile; one watcher is enough.
        if state.hasWatcher {
          state.threads -= 1
          return (false, false)
        }
        state.hasWatcher = true
        return (false, true)
      }
      if isLeader { continue }
      return isWatcher ? watch() : ()
    }
  }

  private func watch() {
    var seen: UInt64 = 0
    var quiet = 0
    while true {
      let isAwake = state.withLock { $0.isWatcherAwake }
      if !isAwake {
        _ = wake.wait(milliseconds: 3_600_000)
        quiet = 0
        continue
      }
      usleep(Self.patience)
      let leadership: Int? = state.withLock { state in
        let isStill = state.calls == seen
        seen = state.calls
        quiet = isStill ? quiet + 1 : 0
        if isStill && state.isBusy {
          state.lastLeader += 1
          state.leader = state.lastLeader
          state.isBusy = false
          state.hasWatcher = false
          return state.leader
        }
        if quiet > Self.restlessness { state.isWatcherAwake = false }
        return nil
      }
      if let leadership {
        try? addWatcher()
        return lead(leadership)
      }
    }
  }
}
