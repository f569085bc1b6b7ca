import ArgumentParser
import Glibc
import Logging
import SupervisorTransport
import Sysfs
import Threads
import Transport
import VFIOCore

/// `vfio-cused run`: the machine's VFIO, for one program and all that it starts.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a program that sees the VFIO devices, without root.",
    discussion: """
      The program and all that it starts find /dev/vfio as on a machine with VFIO; everything else \
      is the machine's own. Without a topology file it is the machine of the VFIO document of 2011. \
      The exit status is the program's, 128 plus its number for a signal.
      """)

  @OptionGroup var machine: MachineOptions

  @Option(
    help: "Log to standard error, from this level on: trace, debug, info, notice, warning, error.")
  var logLevel: LogLevel?

  @Flag(help: "Write a line for each call that is answered to standard error.")
  var trace = false

  @Option(help: ArgumentHelp("Write these lines to a file instead.", valueName: "file"))
  var traceFile: String?

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("The program and its arguments.", valueName: "program"))
  var command: [String] = []

  /// Tells what machine a process tree sees already.
  private static let marker = "VFIO_CUSED_RUN"

  func validate() throws {
    if command.isEmpty {
      throw ValidationError("Say what to run: vfio-cused run -- ./client")
    }
  }

  func run() throws {
    do {
      try becomeWhenNested()
      SupervisorTransport.gainAccess()
      let logger = makeLogger()
      let work = WorkPool()
      let machine = try Machine(self.machine, scheduler: work, logger: logger)
      setenv(Self.marker, self.machine.identity, 1)
      var options = try options()
      options.sysfs = machine.sysfs { [vfio = machine.vfio] group in
        SupervisorTransport.deviceNumber(of: group, in: vfio)
      }
      let transport = SupervisorTransport(
        vfio: machine.vfio, work: work, options: options, logger: logger)
      throw ExitCode(try transport.run(command))
    } catch {
      throw reported(error)
    }
  }

  private func becomeWhenNested() throws {
    guard let outer = getenv(Self.marker), SupervisorTransport.isFiltered else { return }
    // SAFETY: what getenv gives ends with a NUL, and nobody changes the environment meanwhile.
    let other = String(cString: outer)
    if other == machine.identity { throw SupervisorTransport.become(command) }
    throw TransportError(
      .unavailable,
      """
      this runs under vfio-cused run already, with another machine (\(other)); a process tree can have \
      one: leave the inner vfio-cused away, or give both the same --topology, --dialect, --plugin, \
      --auto-merge and --ignore-memlock
      """)
  }

  /// Says nothing unless asked: standard error is the client's.
  private func makeLogger() -> Logger {
    Logger(label: "vfio-cused") { label in
      guard let logLevel else { return SwiftLogNoOpLogHandler() }
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = logLevel.level
      return handler
    }
  }

  private func options() throws -> SupervisorTransport.Options {
    var options = SupervisorTransport.Options()
    // SAFETY: what getenv gives ends with a NUL.
    let wanted = getenv("TMPDIR").map { String(cString: $0) }
    // There can be many small files: in memory, where there is a place for that.
    let place = [wanted, "/dev/shm"].compactMap(\.self)
      .first { $0.hasPrefix("/") && access($0, W_OK | X_OK) == 0 }
    if let place { options.temporaryDirectory = place }
    if let traceFile {
      let file = open(traceFile, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
      guard file >= 0 else {
        throw TransportError(
          .cannotCreate, "cannot write \(traceFile): \(String(cString: strerror(errno)))")
      }
      options.trace = file
    } else if trace {
      options.trace = STDERR_FILENO
    }
    return options
  }
}
