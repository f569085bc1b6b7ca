import ArgumentParser
import CUSETransport
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// `vfio-cused serve`: the machine's VFIO, for every process on it.
struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve VFIO character devices to the whole machine, through CUSE (as root).",
    discussion: """
      Stays in the foreground, and says "ready" on standard error when every node exists. Without \
      a topology file it shows the machine of the VFIO document of 2011: /dev/vfio/pci:240 with the \
      devices 0000:06:0d.0 and 0000:06:0d.1. SIGTERM and SIGINT end it.
      """)

  @OptionGroup var machine: MachineOptions

  @Option(
    help: ArgumentHelp(
      "Mount the devices' /sys there. (default: /run/vfio-cused/sys)", valueName: "directory"))
  var sysfs: String?

  @Option(help: "Log from this level on.")
  var logLevel = LogLevel.notice

  @Option(
    help: ArgumentHelp(
      "Permissions of the group nodes, in octal. (default: 0660, of today's API 0600)",
      valueName: "mode"))
  var mode: NodeMode?

  @Option(
    help: ArgumentHelp(
      "The directory of the nodes under /dev, for machines that have a vfio of their own.",
      valueName: "name"))
  var devPrefix = "vfio"

  @Option(
    help: ArgumentHelp(
      "Owner of the group nodes: a user, user:group or :group. (default: root:root)",
      valueName: "owner"))
  var owner: NodeOwner?

  func validate() throws {
    let isName = devPrefix.allSatisfy { $0.isLetter || $0.isNumber || "-_".contains($0) }
    if devPrefix.isEmpty || !isName {
      throw ValidationError("Say a name without slashes: --dev-prefix emulated-vfio")
    }
    if let sysfs, !sysfs.hasPrefix("/") || sysfs.hasSuffix("/") {
      throw ValidationError("Say where by an absolute path: --sysfs /run/vfio-cused/sys")
    }
  }

  func run() async throws {
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = logLevel.level
      return handler
    }
    let logger = Logger(label: "vfio-cused")
    do {
      let daemon = try Daemon(machine, sysfs: sysfs, options: options, logger: logger)
      // A terminal that closes must not leave the mount behind either.
      try await ServiceGroup(
        services: [daemon], gracefulShutdownSignals: [.sigterm, .sigint, .sighup],
        logger: Logger(label: "lifecycle") { _ in SwiftLogNoOpLogHandler() }
      ).run()
    } catch {
      throw reported(error)
    }
  }

  private var options: CUSETransport.Options {
    var options = CUSETransport.Options()
    options.onFailure = { reason in
      say(reason)
      Glibc.exit(Sysexits.osError.rawValue)
    }
    options.mode = mode?.bits
    options.devicePrefix = devPrefix
    options.owner = (owner ?? .root).user
    options.group = (owner ?? .root).group
    return options
  }
}

/// The argument of `--log-level`.
enum LogLevel: String, ExpressibleByArgument, CaseIterable {
  case trace, debug, info, notice, warning, error, critical

  var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
}
