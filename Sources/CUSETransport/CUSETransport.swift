import CLinux
import ClientAccess
package import FUSESessions
import Glibc
public import Logging
import Synchronization
import SystemPackage
package import Threads
public import Transport
public import VFIOCore

public typealias TransportError = Transport.TransportError

/// VFIO on character devices: a CUSE node for each group, and descriptors in the daemon's own FUSE mount.
///
/// @unchecked: what is set after `init` is set by `start`, before there are requests.
public final class CUSETransport: @unchecked Sendable {
  public struct Options: Sendable {
    /// Mode of the group nodes; nil for 0660 of the draft's and 0600 of today's.
    public var mode: UInt32?
    /// The directory of the nodes, under `/dev`.
    public var devicePrefix = "vfio"
    public var owner: UInt32 = 0
    public var group: UInt32 = 0
    /// The daemon's own directory: its lock, and the mount of its files.
    public var runDirectory = "/run/vfio-cused"
    /// Called once when serving has become impossible, with the reason; on a thread of ours.
    public var onFailure: @Sendable (String) -> Void = { _ in }

    public init() {}
  }

  let vfio: VFIO
  let options: Options
  let logger: Logger
  /// Serves other sessions of the daemon as well.
  package let pool: SessionPool
  let retries = RetryTable()
  /// Threads for what outlasts a request; apart from those of devices, which clients can keep waiting.
  package let work = WorkPool(limit: 1024)
  /// By user, since a client can make a delivery last.
  private let deliveries: Lanes<UInt32>
  private let directory: RunDirectory
  private let isStopping = Atomic<Bool>(false)
  private(set) var files: FileMount! = nil
  private(set) var clients: ClientServices! = nil
  private let nodes = GroupNodes()
  /// libfuse takes a pthread key for each session, of which a process has 1,024. Nodes of today's API leave
  /// some to those of the document.
  private static let nodeLimit = 900
  /// The first node that could not be made at the start.
  private let failure = Mutex<TransportError?>(nil)
  /// What has happened to groups while we start; nil once we have.
  private let startEvents = Mutex<[GroupEvent]?>([])

  /// Takes the run directory. Nothing is visible to clients yet.
  public init(vfio: VFIO, options: Options, logger: Logger) throws(TransportError) {
    self.vfio = vfio
    deliveries = Lanes(work, width: 32)
    self.options = options
    self.logger = logger
    guard geteuid() == 0 else {
      throw TransportError(
        .notPermitted,
        "vfio-cused serve needs root, to make device nodes; try: sudo vfio-cused serve")
    }
    cl_raise_nofile()
    directory = try RunDirectory.take(options.runDirectory)
    do throws(Errno) {
      pool = try SessionPool(work: work, logger: logger)
    } catch {
      throw TransportError(.system, "cannot make an epoll descriptor: \(error)")
    }
  }

  /// Makes the mount and a node for every group there is, and from then on follows the groups. Returns when
  /// all of them exist, or none.
  public func start() throws(TransportError) {
    LibfuseLog.forward(to: logger)
    let files = FileMount(path: directory.files, transport: self)
    self.files = files
    do throws(Errno) {
      clients = ClientServices(
        events: try EventMonitor(), logger: logger,
        rightsNeeded: """
          vfio-cused serve needs CAP_SYS_PTRACE, a kernel.yama.ptrace_scope below 3, and a pid \
          namespace that holds its clients
          """
      ) { [weak self] in self?.file($0, $1, $2) }
      try pool.start()
    } catch {
      throw TransportError(.system, "cannot start threads: \(error)")
    }
    do throws(TransportError) {
      try add(files.mount(), path: directory.files)
      try nodes.start()
      // On a machine that has a vfio of its own, its container is at our place.
      let noContainer: TransportError?
      do throws(TransportError) {
        try make(.container)
        noContainer = nil
      } catch {
        noContainer = error
      }
      vfio.observeGroups { [weak self] in self?.follow($0) }
      while let events = nextStartEvents() { handle(events) }
      if let failure = failure.withLock({ $0 }) { throw failure }
      if let noContainer {
        logger.warning(
          "today's API is not served: \(noContainer); --dev-prefix gives our nodes another directory"
        )
      }
    } catch {
      stop()
      throw error
    }
  }

  /// Somebody has unmounted our files, or aborted the connection: no descriptor can be had any more.
  func fileMountEnded() {
    if isStopping.exchange(true, ordering: .relaxed) { return }
    logger.critical("the mount of descriptors is gone", metadata: ["path": "\(directory.files)"])
    options.onFailure("\(directory.files) was unmounted by somebody else; cannot go on")
  }

  /// Ends everything: nodes and mount are gone, and whoever waits in a call has an error.
  public func stop() {
    // Descriptors under way are delivered first: to die now would take their clients along.
    isStopping.store(true, ordering: .relaxed)
    work.drain()
    pool.stop()
    files?.unmount()
  }

  private func add(_ session: FUSESession, path: String) throws(TransportError) {
    do throws(Errno) { try pool.add(session) } catch {
      throw TransportError(.system, "cannot serve \(path): \(error)")
    }
  }

  /// The number of a group's node; nil while it has none.
  public func deviceNumber(of group: VFIOCore.GroupID) -> (major: UInt32, minor: UInt32)? {
    nodes.device(of: .group(group)).map { ($0.major, $0.minor) }
  }

  private func follow(_ event: GroupEvent) {
    if isStopping.load(ordering: .relaxed) { return }
    if startEvents.withLock({ $0?.append(event) }) == nil { handle([event]) }
  }

  /// - Returns: nil where there are none: we have started.
  private func nextStartEvents() -> [GroupEvent]? {
    startEvents.withLock { events in
      guard let next = events, !next.isEmpty else {
        events = nil
        return nil
      }
      events = []
      return next
    }
  }

  private func handle(_ events: [GroupEvent]) {
    var appeared: [VFIOCore.GroupID] = []
    for event in events {
      switch event {
      case .appeared(let group):
        appeared.append(group)
      case .vanished(let group):
        appeared.removeAll { $0 == group }
        unmake(.group(group))
        unmake(.mainlineGroup(group))
        unmake(.noIOMMUGroup(group))
      }
    }
    let hasIOMMU = { [vfio] (group: VFIOCore.GroupID) in vfio.group(group)?.hasIOMMU ?? true }
    // The document knows no group without an IOMMU.
    make(appeared.filter(hasIOMMU).map { (.group($0), $0) })
    // Names of today's API have no place for the bus.
    guard nodes.device(of: .container) != nil else { return }
    let todays = appeared.filter { $0.bus == PCIBus.name }
    let room = max(0, Self.nodeLimit - nodes.count)
    make(todays.prefix(room).map { (hasIOMMU($0) ? .mainlineGroup($0) : .noIOMMUGroup($0), $0) })
    guard let first = todays.dropFirst(room).first else { return }
    logger.warning(
      "groups have no node of today's API: there is room for \(Self.nodeLimit) nodes in all",
      metadata: ["groups": "\(todays.count - room)", "first": "\(first)"])
  }

  /// Makes nodes of groups. The kernel takes tens of milliseconds for one: it makes them all at once.
  private func make(_ kinds: [(GroupNode.Kind, VFIOCore.GroupID)]) {
    var connected: [(GroupNode, GroupNode.Kind, VFIOCore.GroupID)] = []
    for (kind, group) in kinds {
      do throws(TransportError) { connected.append((try connect(kind), kind, group)) } catch {
        failed(kind, of: group, error)
      }
    }
    for (node, kind, group) in connected {
      do throws(TransportError) { try waitFor(node, kind) } catch { failed(kind, of: group, error) }
    }
  }

  private func make(_ kind: GroupNode.Kind) throws(TransportError) {
    try waitFor(connect(kind), kind)
  }

  private func connect(_ kind: GroupNode.Kind) throws(TransportError) -> GroupNode {
    let node = try nodes.add(kind, transport: self)
    do throws(TransportError) {
      try add(node.connect(), path: node.path)
      return node
    } catch {
      unmake(kind)
      throw error
    }
  }

  private func waitFor(_ node: GroupNode, _ kind: GroupNode.Kind) throws(TransportError) {
    do throws(TransportError) {
      try node.waitUntilMade()
    } catch {
      unmake(kind)
      throw error
    }
  }

  /// A group without its node of the document is no start; without one of today's API it is less.
  private func failed(_ kind: GroupNode.Kind, of group: VFIOCore.GroupID, _ error: TransportError) {
    guard kind == .group(group) else {
      return logger.warning(
        "a group has no node of today's API: \(error)", metadata: ["group": "\(group)"])
    }
    if startEvents.withLock({ $0 == nil }) {
      logger.error("a group has no node: \(error)", metadata: ["group": "\(group)"])
    } else {
      failure.withLock { $0 = $0 ?? error }
    }
  }

  private func unmake(_ kind: GroupNode.Kind) {
    if let session = nodes.remove(kind) { pool.remove(session) }
  }

  // MARK: Requests

  private func file(
    _ identity: FileIdentity, _ thread: ClientThread, _ fd: Int32
  ) -> (any VFIOFile)? {
    if let device = identity.characterDevice { return nodes.node(device)?.file(thread, fd) }
    return files.file(identity)
  }

  /// Answers an ioctl with what the core said.
  ///
  /// - Parameter output: what goes to the caller by the retry protocol.
  func answer(
    _ request: consuming Request, of session: FUSESession?,
    with result: Result<IoctlResult, Errno>, output: [UInt8]
  ) {
    let caller = Caller(thread: request.thread, user: request.user)
    switch result {
    case .success(.value(let value)):
      request.ioctl(value, output: output)
    case .failure(let error):
      request.fail(error)
    case .success(.file(let file)):
      guard let session else { return file.release() }
      deliver(file, to: caller, request.later(of: session))
    case .success(.later(let answer)):
      guard let session else {
        _ = answer.cancel()
        return
      }
      wait(for: answer, caller, request.later(of: session))
    }
  }

  private struct Caller: Sendable {
    var thread: ClientThread
    var user: UInt32
  }

  private func deliver(_ file: any VFIOFile, to caller: Caller, _ request: PendingRequest) {
    let delivery = DescriptorDelivery(mount: files, logger: logger)
    // Until it is its turn the caller can be killed; other signals wait, as they do on a real kernel.
    request.onInterrupt { [work] in
      work.run {
        let isDying = (try? ProcFS.status(of: caller.thread.id))?.isBeingKilled ?? true
        if isDying && request.interrupt() { file.release() }
      }
    }
    deliveries.run(caller.user) {
      guard request.claim() else { return }
      delivery.deliver(file, to: caller.thread, answering: request)
    }
  }

  private func wait(for answer: DeferredAnswer, _ caller: Caller, _ request: PendingRequest) {
    request.onInterrupt { [work] in
      work.run {
        if answer.cancel() { _ = request.interrupt() }
      }
    }
    answer.whenComplete { result in
      switch result {
      case .success(.value(let value)): request.answer { $0.ioctl(value) }
      case .failure(let error): request.answer { $0.fail(error) }
      case .success(.file(let file)): self.deliver(file, to: caller, request)
      case .success(.later(let next)): self.wait(for: next, caller, request)
      }
    }
  }
}
