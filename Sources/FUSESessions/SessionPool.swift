import CFuse3
import CLinux
import ClientAccess
import Glibc
package import Logging
import Synchronization
package import SystemPackage
package import Threads

/// A few threads that serve any number of sessions.
///
/// Each thread has one request buffer for all sessions. When a client makes its own memory block all of
/// them (a userfaultfd, a FUSE file of its own), spare ones step in.
package final class SessionPool: Sendable {
  static let regularWorkers = 4
  static let maximumWorkers = 256
  /// How many workers the memory of one user's programs may keep.
  private static let stuckLimit = 16

  private struct State {
    /// By token; an index, for that is looked up at every request.
    var sessions: [FUSESession?] = []
    var freeSlots: [Int]

    func session(_ token: UInt64) -> FUSESession? {
      sessions.indices.contains(Int(token)) ? sessions[Int(token)] : nil
    }

    /// Forgets a session; false when that was done before.
    mutating func remove(_ session: FUSESession) -> Bool {
      guard let index = sessions.firstIndex(where: { $0 === session }) else { return false }
      sessions[index] = nil
      return true
    }
  }

  /// What the watchdog looks at.
  private final class Worker: Sendable {
    /// When the worker took its request, in ticks of the watchdog; 0 when idle.
    let busySince = Atomic<UInt64>(0)
    /// Of which session, and which user's request.
    let session = Atomic<UInt64>(0)
    let user = Atomic<UInt32>(0)
  }

  let releases = ReleaseGate(workers: maximumWorkers)
  private let epoll: OwnedFD
  private let state: Mutex<State>
  private let workers: [Worker]
  private let tick = Atomic<UInt64>(1)
  private let isStopping = Atomic<Bool>(false)
  /// Users that may not have more of their calls looked at: see `watch`.
  private let barred = Mutex<Set<UInt32>>([])
  private let isAnyoneBarred = Atomic<Bool>(false)
  private let work: WorkPool
  private let logger: Logger

  /// - Parameter work: threads for requests that a worker comes across and cannot wait for.
  package init(work: WorkPool, logger: Logger) throws(Errno) {
    self.work = work
    self.logger = logger
    epoll = OwnedFD(owning: try cl_epoll_create().checked())
    workers = (0..<Self.maximumWorkers).map { _ in Worker() }
    state = Mutex(State(freeSlots: Array((0..<Self.maximumWorkers).reversed())))
  }

  package func start() throws(Errno) {
    for _ in 0..<Self.regularWorkers { try startWorker() }
    try Thread.start(name: "cuse-watchdog") { self.watch() }
  }

  /// Serves `session` from now on.
  package func add(_ session: FUSESession) throws(Errno) {
    let token = state.withLock { state in
      let free = state.sessions.firstIndex { $0 == nil } ?? state.sessions.endIndex
      if free == state.sessions.endIndex {
        state.sessions.append(session)
      } else {
        state.sessions[free] = session
      }
      return UInt64(free)
    }
    do throws(Errno) {
      try cl_epoll_add_once(epoll.rawValue, session.fd, token).checked()
    } catch {
      _ = state.withLock { $0.remove(session) }
      throw error
    }
  }

  /// Ends `session`: its node vanishes, its callers return.
  package func remove(_ session: FUSESession) {
    if state.withLock({ $0.remove(session) }) { session.disconnect() }
  }

  /// Ends all sessions and the threads.
  package func stop() {
    isStopping.store(true, ordering: .relaxed)
    let sessions = state.withLock { state in
      defer { state.sessions = [] }
      return state.sessions.compactMap(\.self)
    }
    for session in sessions { session.disconnect() }
  }

  private func startWorker() throws(Errno) {
    guard let slot = state.withLock({ $0.freeSlots.popLast() }) else { return }
    do throws(Errno) {
      try Thread.start(name: "cuse-\(slot)") { self.serve(as: slot) }
    } catch {
      state.withLock { $0.freeSlots.append(slot) }
      throw error
    }
  }

  private func serve(as slot: Int) {
    let isSpare = slot >= Self.regularWorkers
    var buffer = fuse_buf()
    // SAFETY: libfuse allocated it with malloc.
    defer { free(buffer.mem) }
    cl_set_worker(Int32(slot))
    while !isStopping.load(ordering: .relaxed) {
      var token: UInt64 = 0
      let n = cl_epoll_wait_one(epoll.rawValue, isSpare ? 5000 : -1, &token)
      if n == 0 && isSpare { break }
      guard n > 0, let session = state.withLock({ $0.session(token) }) else { continue }
      serve(session, token, slot, &buffer)
    }
    state.withLock { $0.freeSlots.append(slot) }
  }

  /// Takes requests until there are none.
  ///
  /// Nobody else is told of the session meanwhile. One caller's requests follow each other, and each
  /// would wake a worker in vain; when another caller's comes in between, or one that may take long,
  /// the rest is left to the others first.
  private func serve(_ session: FUSESession, _ token: UInt64, _ slot: Int, _ buffer: inout fuse_buf)
  {
    let worker = workers[slot]
    worker.session.store(token, ordering: .relaxed)
    while true {
      releases.enter(worker: slot)
      do throws(Errno) {
        guard try session.receive(into: &buffer) else {
          releases.leave(worker: slot)
          return rearm(session, token)
        }
      } catch {
        releases.leave(worker: slot)
        if state.withLock({ $0.remove(session) }) {
          session.handler.sessionEnded()
        }
        return
      }
      let header = RequestHeader(buffer)
      if !header.isRelease { releases.leave(worker: slot) }
      let isShared = session.lastCaller.exchange(header.pid, ordering: .relaxed) != header.pid
      let leaves = isShared || header.mayTakeLong
      if leaves { rearm(session, token) }
      worker.user.store(header.user, ordering: .relaxed)
      worker.busySince.store(tick.load(ordering: .relaxed), ordering: .relaxed)
      session.process(&buffer)
      worker.busySince.store(0, ordering: .relaxed)
      if header.isRelease { releases.leave(worker: slot) }
      if leaves { return }
    }
  }

  /// Has the next request that comes, or is there already, told to some worker.
  private func rearm(_ session: FUSESession, _ token: UInt64) {
    _ = cl_epoll_rearm_once(epoll.rawValue, session.fd, token)
  }

  /// Returns when every RELEASE that the kernel had queued on `session` has been carried out.
  package func settle(_ session: FUSESession) {
    let slot = Int(cl_worker())
    if cl_is_readable(session.fd) { takeQueued(of: session, as: slot) }
    releases.waitForThoseInside(except: slot)
  }

  /// Inside the gate, for somebody else may be waiting for what is taken here.
  private func takeQueued(of session: FUSESession, as slot: Int) {
    var buffer = fuse_buf()
    defer { free(buffer.mem) }
    releases.enter(worker: slot)
    defer { releases.leave(worker: slot) }
    while let more = try? session.receive(into: &buffer), more {
      if RequestHeader(buffer).isRelease {
        session.process(&buffer)
      } else {
        process(buffer, of: session)
        buffer = fuse_buf()
      }
    }
  }

  /// Has another thread answer a request that is not ours to wait for.
  private func process(_ buffer: fuse_buf, of session: FUSESession) {
    struct Handover: @unchecked Sendable {
      // The buffer goes from this thread to that one, which frees it.
      var buffer: fuse_buf
    }
    let handover = Handover(buffer: buffer)
    work.run {
      var buffer = handover.buffer
      session.process(&buffer)
      free(buffer.mem)
    }
  }

  /// Whether the user's programs keep as many workers as they may: their calls fail with `EAGAIN` then.
  package func isBarred(_ user: UInt32) -> Bool {
    isAnyoneBarred.load(ordering: .relaxed) && barred.withLock { $0.contains(user) }
  }

  private func bar(_ stuck: [Worker]) {
    var counts: [UInt32: Int] = [:]
    for worker in stuck { counts[worker.user.load(ordering: .relaxed), default: 0] += 1 }
    let users = Set(counts.filter { $0.value >= Self.stuckLimit }.keys)
    let news = barred.withLock { barred in
      defer { barred = users }
      return users.subtracting(barred)
    }
    isAnyoneBarred.store(!users.isEmpty, ordering: .relaxed)
    for user in news {
      logger.warning(
        "programs of one user keep too many workers waiting for their memory; their calls fail",
        metadata: ["uid": "\(user)"])
    }
  }

  /// Looks after what stuck workers leave behind: their session's other requests, which nobody is told
  /// of, and, when there is no other worker, everybody's.
  private func watch() {
    while !isStopping.load(ordering: .relaxed) {
      usleep(100_000)
      let now = tick.add(1, ordering: .relaxed).newValue
      let stuck = workers.filter { worker in
        let since = worker.busySince.load(ordering: .relaxed)
        return since != 0 && now - since >= 2
      }
      bar(stuck)
      if stuck.isEmpty { continue }
      let running = state.withLock { Self.maximumWorkers - $0.freeSlots.count }
      if stuck.count == running && running < Self.maximumWorkers {
        logger.notice(
          "all workers wait for client memory; starting a spare one",
          metadata: ["workers": "\(running)"])
        try? startWorker()
      }
      for worker in stuck {
        let token = worker.session.load(ordering: .relaxed)
        guard let session = state.withLock({ $0.session(token) }) else { continue }
        rearm(session, token)
      }
    }
  }
}
