import ArgumentParser
import Glibc
import Sysfs

/// The options that shape the machine which clients see, the same for every transport.
struct MachineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Read buses, bridges and devices from a YAML file.", valueName: "file"))
  var topology: String?

  @Flag(help: "Let clients map any amount of memory, whatever their RLIMIT_MEMLOCK.")
  var ignoreMemlock = false

  @Flag(
    help: """
      Merge a group with those that its user has in use, before the first IOMMU or device \
      descriptor of it is handed out.
      """)
  var autoMerge = false

  @Option(help: SysfsDialect.help)
  var dialect = SysfsDialect.draft2011

  @Option(
    help: ArgumentHelp(
      "Load a plug-in with buses or devices of its own, a shared object (repeatable).",
      valueName: "file"))
  var plugin: [String] = []

  /// All of them as they would be written, files by their own paths: the same for the same machine.
  var identity: String {
    var words = ["--topology \(topology.map(Self.resolved) ?? "default")", "--dialect \(dialect)"]
    words += plugin.map { "--plugin \(Self.resolved($0))" }
    if autoMerge { words.append("--auto-merge") }
    if ignoreMemlock { words.append("--ignore-memlock") }
    return words.joined(separator: " ")
  }

  private static func resolved(_ file: String) -> String {
    guard let path = realpath(file, nil) else { return file }
    defer { free(path) }
    // SAFETY: what realpath gives ends with a NUL.
    return String(cString: path)
  }
}
