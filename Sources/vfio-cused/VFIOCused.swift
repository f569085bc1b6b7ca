import ArgumentParser

@main
struct VFIOCused: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vfio-cused",
    abstract: "Emulates VFIO in userspace: unmodified programs run against virtual devices.",
    version: version,
    subcommands: [Run.self, Serve.self])

  static let version = "0.1.0"
}
