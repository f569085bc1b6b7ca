import CLinux
import Synchronization
public import SystemPackage
import Threads

/// Our copy of a client's eventfd.
public final class ClientEventFD: EventSignal {
  let fd: OwnedFD
  private let monitor: EventMonitor

  public init(_ fd: consuming OwnedFD, monitor: EventMonitor) {
    self.fd = fd
    self.monitor = monitor
  }

  public func signal() {
    _ = cl_eventfd_signal(fd.rawValue)
  }

  public func watch(_ handler: @escaping @Sendable () -> Void) throws(Errno) -> any EventWatch {
    try monitor.watch(self, handler)
  }
}

/// One thread that waits for all eventfds that clients signal us by.
public final class EventMonitor: Sendable {
  private struct State {
    var handlers: [UInt64: @Sendable () -> Void] = [:]
    var events: [UInt64: ClientEventFD] = [:]
    var nextToken: UInt64 = 0
    var isStarted = false
  }

  private let epoll: OwnedFD
  private let state = Mutex(State())

  public init() throws(Errno) {
    epoll = try OwnedFD(result: cl_epoll_create())
  }

  fileprivate func watch(
    _ event: ClientEventFD, _ handler: @escaping @Sendable () -> Void
  ) throws(Errno) -> any EventWatch {
    let (token, mustStart) = state.withLock { state in
      state.nextToken += 1
      state.handlers[state.nextToken] = handler
      state.events[state.nextToken] = event
      defer { state.isStarted = true }
      return (state.nextToken, !state.isStarted)
    }
    let watch = Watch(token: token, monitor: self)
    do throws(Errno) {
      if mustStart { try Thread.start(name: "eventfds") { self.run() } }
    } catch {
      state.withLock { $0.isStarted = false }
      throw error
    }
    try cl_epoll_add_edge(epoll.rawValue, event.fd.rawValue, token).checked()
    return watch
  }

  private func run() {
    while true {
      var token: UInt64 = 0
      guard cl_epoll_wait_one(epoll.rawValue, -1, &token) > 0 else { continue }
      let (event, handler) = state.withLock { ($0.events[token], $0.handlers[token]) }
      if let event, let handler, cl_eventfd_consume(event.fd.rawValue) > 0 { handler() }
    }
  }

  private final class Watch: EventWatch {
    let token: UInt64
    let monitor: EventMonitor

    init(token: UInt64, monitor: EventMonitor) {
      self.token = token
      self.monitor = monitor
    }

    func cancel() {
      monitor.cancel(token)
    }

    deinit {
      monitor.cancel(token)
    }
  }

  private func cancel(_ token: UInt64) {
    let event = state.withLock { state in
      state.handlers[token] = nil
      return state.events.removeValue(forKey: token)
    }
    if let event { _ = cl_epoll_remove(epoll.rawValue, event.fd.rawValue) }
  }
}
