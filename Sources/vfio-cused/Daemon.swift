import CUSETransport
import Control
import Logging
import ServiceLifecycle
import Threads
import VFIOCore

/// The daemon from start to end: the machine that clients see, and the transport that shows it.
struct Daemon: Service {
  private let machine: Machine
  private let transport: CUSETransport

  /// Nothing is visible to clients before `run`.
  init(
    topology: String?, mergesAutomatically: Bool, options: CUSETransport.Options, logger: Logger
  ) throws {
    let work = WorkPool()
    machine = try Machine(
      topology: topology, mergesAutomatically: mergesAutomatically, scheduler: work,
      logger: logger)
    transport = try CUSETransport(vfio: machine.vfio, options: options, logger: logger)
  }

  func run() async throws {
    try transport.start()
    let sentence = machine.summary
    say("ready: \(sentence)")
    ServiceManager.notify("READY=1\nSTATUS=\(sentence)")
    try? await gracefulShutdown()
    ServiceManager.notify("STOPPING=1")
    transport.stop()
  }
}
