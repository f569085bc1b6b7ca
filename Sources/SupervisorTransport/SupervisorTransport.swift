import CLinux
import ClientAccess
import Glibc
public import Logging
public import Sysfs
import SystemPackage
public import Threads
public import Transport
public import VFIOCore

/// VFIO for one process tree: its system calls come to us by seccomp user notification.
public struct SupervisorTransport: Sendable {
  public struct Options: Sendable {
    /// Where a line for each call that we answer goes, an open descriptor; nil for nowhere.
    public var trace: Int32?
    /// Where the emulated directories are made for those who list them.
    public var temporaryDirectory = "/tmp"
    /// What clients see in `/sys`, beside the machine's own; nil for no more than that.
    public var sysfs: SysfsTree?

    public init() {}
  }

  private let vfio: VFIO
  private let work: WorkPool
  private let options: Options
  private let logger: Logger

  /// - Parameter work: threads for what may wait for a client.
  public init(vfio: VFIO, work: WorkPool, options: Options, logger: Logger) {
    self.vfio = vfio
    self.work = work
    self.options = options
    self.logger = logger
  }

  /// The number of a group's node.
  public static func deviceNumber(of group: VFIOCore.GroupID, in vfio: VFIO) -> SysfsDeviceNumber? {
    vfio.minor(of: group).map { SysfsDeviceNumber(major: DeviceDirectory.major, minor: $0) }
  }

  /// Gets the right to look into clients where that takes more than being their parent. To be called first,
  /// while there is one thread.
  public static func gainAccess() {
    Yama.gainAccess()
  }

  /// Becomes `command` itself: for a process tree that sees this machine already.
  public static func become(_ command: [String]) -> TransportError {
    Launch.become(command)
  }

  /// Whether a filter with a supervisor may be upon us already.
  public static var isFiltered: Bool {
    (try? ProcFS.status(of: getpid()).seccomp) == 2
  }

  /// Runs `command`, a program and its arguments, and stays until no process of it is left.
  ///
  /// To be called once, on a thread that lives as long: the client dies with it.
  ///
  /// - Returns: the program's exit status, 128+n where signal n ended it.
  public func run(_ command: [String]) throws(TransportError) -> Int32 {
    ChildWatch.takeSignals()
    _ = cl_adopt_orphans()
    let eventfds = Eventfds.areNeeded ? Eventfds() : nil
    let launch = try Launch(command, eventfds: eventfds != nil)
    let watch = ChildWatch(launch.pid)
    let listener = Listener(owning: launch.listener, trace: options.trace.map { Trace($0) })
    let scratch: ScratchTree
    let files: OpenFiles
    do {
      try launch.checkAccess()
      cl_raise_nofile()
      (files, scratch) = try serve(listener, eventfds, watch)
      try watch.starting(RegisterTrap(files: files, logger: logger))
    } catch {
      launch.cancel()
      throw error
    }
    defer { scratch.remove() }
    try launch.go(command)
    listener.waitUntilUnused()
    files.releaseAll()
    work.drain()
    return watch.exitStatus()
  }

  private func serve(
    _ listener: Listener, _ eventfds: Eventfds?, _ watch: ChildWatch
  ) throws(TransportError) -> (OpenFiles, ScratchTree) {
    let sys = options.sysfs.map { [SysDirectory(tree: $0)] } ?? []
    let tree = CombinedTree(DeviceDirectory(vfio: vfio), sys)
    let owners = NodeOwners()
    let scratch = ScratchTree(tree, owners: owners, in: options.temporaryDirectory)
    do throws(Errno) {
      let files = try OpenFiles()
      let events = try EventMonitor()
      var clients = ClientServices(
        events: events, logger: logger,
        rightsNeeded: "vfio-cused run needs the right to trace its clients", isOneTree: true,
        isDevice: { files.file(OpenFiles.Key($0)) != nil },
        file: { identity, _, _ in files.file(OpenFiles.Key(identity))?.file })
      clients.canMap = true
      clients.canMapRegisters = true
      if let eventfds {
        clients.eventfd = { (thread, fd) throws(Errno) in
          try eventfds.copy(of: fd, thread, events)
        }
      }
      vfio.observeGroups { event in
        guard case .vanished(let group) = event else { return }
        for path in DeviceDirectory.paths(of: group) { owners.forget(path) }
      }
      let calls = FileCalls(
        files: files, clients: clients, work: work, logger: logger, watch: watch)
      let dispatcher = Dispatcher(
        files: calls,
        paths: PathCalls(
          tree: tree, scratch: scratch, files: files, clients: clients, owners: owners,
          workingDirectories: WorkingDirectories(watch: watch, logger: logger)),
        eventfds: eventfds)
      try files.start()
      try Receivers(listener) { dispatcher.handle($0) }.start()
      return (files, scratch)
    } catch {
      throw TransportError(.system, "cannot start threads: \(error)")
    }
  }
}

extension ChildWatch {
  fileprivate func starting(_ trap: RegisterTrap) throws(TransportError) {
    do throws(Errno) { try start(trap) } catch {
      throw TransportError(.system, "cannot start a thread: \(error)")
    }
  }
}

extension OpenFiles.Key {
  init(_ mapping: VMA) {
    device = UInt64(mapping.deviceMajor) << 32 | UInt64(mapping.deviceMinor)
    inode = mapping.inode
  }

  init(_ identity: FileIdentity) {
    device = UInt64(identity.fileSystem.major) << 32 | UInt64(identity.fileSystem.minor)
    inode = identity.inode
  }
}
