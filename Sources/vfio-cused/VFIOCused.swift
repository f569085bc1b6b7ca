import ArgumentParser
import Dispatch

@main
struct Main {
  /// `run` has the first thread to itself: what it does to its process wants that there is no other one.
  static func main() {
    do {
      if let run = try VFIOCused.parseAsRoot() as? Run {
        try run.run()
        VFIOCused.exit()
      }
    } catch {
      VFIOCused.exit(withError: error)
    }
    Task {
      await VFIOCused.main()
      VFIOCused.exit()
    }
    dispatchMain()
  }
}

struct VFIOCused: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vfio-cused",
    abstract: "Emulates VFIO in userspace: unmodified programs run against virtual devices.",
    version: version,
    subcommands: [Run.self, Serve.self])

  static let version = "0.1.0"
}
