import ClientAccess
import Synchronization
import SystemPackage
import Threads

/// The threads that take calls: always one more than are busy, since an answer can depend on memory
/// that a client withholds.
final class Receivers: Sendable {
  /// A client that has so many calls stuck has nobody but itself to blame.
  private static let limit = 64

  private struct State {
    var threads = 0
    var idle = 0
  }

  private let listener: Listener
  private let handler: @Sendable (Call) -> Void
  private let state = Mutex(State())

  init(_ listener: Listener, _ handler: @escaping @Sendable (Call) -> Void) {
    self.listener = listener
    self.handler = handler
  }

  /// Starts the first two.
  func start() throws(Errno) {
    try add()
    try add()
  }

  private func add() throws(Errno) {
    state.withLock {
      $0.threads += 1
      $0.idle += 1
    }
    do throws(Errno) {
      try Thread.start(name: "calls") { self.serve() }
    } catch {
      state.withLock {
        $0.threads -= 1
        $0.idle -= 1
      }
      throw error
    }
  }

  private func serve() {
    while true {
      let call: Call
      do throws(Errno) {
        call = try listener.next()
      } catch .noSuchFileOrDirectory {
        continue
      } catch {
        return
      }
      let mustGrow = state.withLock { state in
        state.idle -= 1
        return state.idle == 0 && state.threads < Self.limit
      }
      if mustGrow { try? add() }
      handler(call)
      state.withLock { $0.idle += 1 }
    }
  }
}
