import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Threads

/// The threads that take calls.
///
/// One takes and answers them: passing them around would cost every call a switch between threads. An
/// answer can depend on memory that a client withholds, so a second thread looks every now and then,
/// while there are calls, and takes over from one that does not come back. A process with many such calls
/// gets `EAGAIN` for any more; others go on.
final class Receivers: Sendable {
  /// A process that has so many calls stuck has nobody but itself to blame.
  private static let limit = 64
  /// How long a call may hold up all others.
  private static let patience: UInt32 = 2000
  /// After so many looks without a call, the watcher sleeps until there is one.
  private static let restlessness = 50

  private struct State {
    /// Changes hands: a thread whose number it is not stops taking calls.
    var leader = 0
    var lastLeader = 0
    /// The calls that are stuck, by the leaders that they came to: whose processes they are.
    var stuck: [Int: Int32] = [:]
    var hasWatcher = false
    var isWatcherAwake = false
    /// Counts calls.
    var calls: UInt64 = 0
    /// Who made the call that the leader is at.
    var caller: ClientThread?
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
    try Thread.start(name: "calls") { self.lead(0) }
    try addWatcher()
  }

  private func addWatcher() throws(Errno) {
    let isWanted = state.withLock { state in
      defer { state.hasWatcher = true }
      return !state.hasWatcher
    }
    guard isWanted else { return }
    do throws(Errno) {
      try Thread.start(name: "calls") { self.watch() }
    } catch {
      state.withLock { $0.hasWatcher = false }
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
      let (mustWake, lacksWatcher, mayRefuse) = state.withLock { state in
        state.calls &+= 1
        state.caller = call.thread
        defer { state.isWatcherAwake = true }
        return (!state.isWatcherAwake, !state.hasWatcher, state.stuck.count >= Self.limit)
      }
      if mustWake { wake.signal() }
      // There was no memory for one before.
      if lacksWatcher { try? addWatcher() }
      if mayRefuse && hasTooMany(call) {
        call.fail(.resourceTemporarilyUnavailable)
      } else {
        handler(call)
      }
      let (isLeader, isWatcher) = state.withLock { state in
        if state.leader == me {
          state.caller = nil
          return (true, false)
        }
        // Somebody took over meanwhile; one watcher is enough.
        state.stuck[me] = nil
        if state.hasWatcher { return (false, false) }
        state.hasWatcher = true
        return (false, true)
      }
      if isLeader { continue }
      return isWatcher ? watch() : ()
    }
  }

  /// What may be none of ours, as a write to a pipe, is refused later than an ioctl of VFIO.
  private func hasTooMany(_ call: Call) -> Bool {
    guard let process = Self.process(of: call.thread) else { return false }
    let limit = call.name == CL_CALL_IOCTL ? Self.limit : 4 * Self.limit
    return state.withLock { $0.stuck.values.count { $0 == process } >= limit }
  }

  private static func process(of thread: ClientThread) -> Int32? {
    try? ProcFS.status(of: thread.id).tgid
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
      let caller: ClientThread? = state.withLock { state in
        let isStill = state.calls == seen
        seen = state.calls
        quiet = isStill ? quiet + 1 : 0
        if isStill, let caller = state.caller { return caller }
        if quiet > Self.restlessness { state.isWatcherAwake = false }
        return nil
      }
      if let caller, let leadership = takeOver(at: seen, from: caller) {
        try? addWatcher()
        return lead(leadership)
      }
    }
  }

  /// - Returns: nil where the call has come back just now.
  private func takeOver(at calls: UInt64, from caller: ClientThread) -> Int? {
    // Who is gone by now has nothing stuck for long.
    let process = Self.process(of: caller) ?? 0
    return state.withLock { state in
      guard state.calls == calls, state.caller != nil else { return nil }
      state.stuck[state.leader] = process
      state.lastLeader += 1
      state.leader = state.lastLeader
      state.caller = nil
      state.hasWatcher = false
      return state.leader
    }
  }
}
