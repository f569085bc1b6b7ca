import CUSETransport
import Control
import Logging
import ServiceLifecycle
import Sysfs
import SysfsMount
import Threads
import VFIOCore

/// The daemon from start to end: the machine that clients see, the transport that shows it, and its `/sys`.
struct Daemon: Service {
  private let machine: Machine
  private let transport: CUSETransport
  private let sysfs: SysfsMount

  /// Nothing is visible to clients before `run`.
  ///
  /// - Parameter sysfs: where to mount the emulated `/sys`; nil for `sys` in the run directory.
  init(
    _ machineOptions: MachineOptions, sysfs path: String?, options: CUSETransport.Options,
    logger: Logger
  ) throws {
    let work = WorkPool()
    machine = try Machine(machineOptions, scheduler: work, logger: logger)
    let transport = try CUSETransport(vfio: machine.vfio, options: options, logger: logger)
    self.transport = transport
    let tree = machine.sysfs { group in
      transport.deviceNumber(of: group).map { SysfsDeviceNumber(major: $0.major, minor: $0.minor) }
    }
    sysfs = SysfsMount(
      tree, at: path ?? options.runDirectory + "/sys",
      machine: options.runDirectory + "/machine", pool: transport.pool, work: transport.work,
      logger: logger)
  }

  func run() async throws {
    try transport.start()
    do {
      try sysfs.start()
    } catch {
      transport.stop()
      throw error
    }
    let sentence = machine.summary
    say("ready: \(sentence)")
    ServiceManager.notify("READY=1\nSTATUS=\(sentence)")
    try? await gracefulShutdown()
    ServiceManager.notify("STOPPING=1")
    sysfs.stop()
    transport.stop()
  }
}
