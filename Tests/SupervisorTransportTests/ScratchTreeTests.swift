import CLinux
import ClientAccess
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import SupervisorTransport

/// The real directories that stand for emulated ones.
@Suite struct ScratchTreeTests {
  /// `/s/devices` with a directory for each device, and `/s/bus` with links to their parts, first, and to them.
  private final class Tree: EmulatedTree {
    let devices = Mutex(["a", "b"])
    let parts = Mutex<[String]>([])

    private var names: [String] { devices.withLock { $0 } }

    var root: EmulatedDirectory {
      directory(["s"]) { _ in
        .directory(
          self.directory(["bus", "devices"]) { name in
            .directory(
              name == "bus" ? self.bus : self.directory(self.names) { .directory(self.device($0)) })
          })
      }
    }

    /// A link `a-part` leads to the part of `a`.
    private var bus: EmulatedDirectory {
      directory(parts.withLock { $0.map { "\($0)-part" } } + names) {
        .link("../devices/" + $0.split(separator: "-").joined(separator: "/"))
      }
    }

    private func device(_ name: String) -> EmulatedDirectory {
      directory(["irq", "name", "vendor", "reset", "part"]) { file in
        if file == "part" {
          return .directory(self.directory([]) { _ in .link("") })
        }
        if file == "reset" { return .file(EmulatedFile(mode: 0o200, contents: nil)) }
        let text = file == "name" ? "\(name)\n" : "7\n"
        return .file(EmulatedFile(mode: 0o444, contents: { Array(text.utf8) }))
      }
    }

    private func directory(
      _ names: [String], _ child: @escaping @Sendable (String) -> EmulatedNode
    ) -> EmulatedDirectory {
      EmulatedDirectory(
        isWhole: true, names: { names }, child: { names.contains($0) ? child($0) : nil })
    }
  }

  private let tree = Tree()
  private let owners = NodeOwners()
  private let scratch: ScratchTree

  init() {
    scratch = ScratchTree(tree, owners: owners, in: "/tmp")
  }

  private func open(_ path: String) throws {
    _ = try scratch.open(path, O_RDONLY | O_DIRECTORY)
  }

  private func status(_ path: String) throws -> stat {
    var status = stat()
    try #require(stat(try #require(scratch.path) + path, &status) == 0, "\(path)")
    return status
  }

  private func text(_ path: String) throws -> String {
    let fd = try FileDescriptor.open(try #require(scratch.path) + path, .readOnly)
    defer { try? fd.close() }
    var bytes = [UInt8](repeating: 0, count: 16)
    let n = try bytes.withUnsafeMutableBytes { try fd.read(into: $0) }
    return String(decoding: bytes[..<n], as: UTF8.self)
  }

  @Test func linksLeadToWhatTheyName() throws {
    defer { scratch.remove() }
    try open("/s/bus")
    #expect(try text("/s/bus/b/name") == "b\n")
    #expect(try text("/s/bus/a/../b/irq") == "7\n")
  }

  @Test func whatComesLaterIsFoundByItsLink() throws {
    defer { scratch.remove() }
    try open("/s/bus")
    tree.devices.withLock { $0 = ["b", "c"] }
    try open("/s/bus")
    #expect(try text("/s/bus/c/name") == "c\n")
    #expect(access(try #require(scratch.path) + "/s/bus/a", F_OK) != 0)
  }

  /// As a function behind a bridge is, whose own link comes second.
  @Test func whatIsAroundAPartIsWhole() throws {
    defer { scratch.remove() }
    try open("/s/bus")
    tree.devices.withLock { $0.append("c") }
    tree.parts.withLock { $0 = ["c"] }
    try open("/s/bus")
    #expect(try status("/s/bus/c-part").st_mode & S_IFMT == S_IFDIR)
    #expect(try text("/s/bus/c/name") == "c\n")
  }

  @Test func onlyWhatIsAlikeIsOneFile() throws {
    defer { scratch.remove() }
    let me = try Credentials(of: ClientThread(id: cl_gettid()))
    try owners.chmod("/s/devices/b/irq", 0o400, by: me)
    try open("/s/devices")
    let first = try status("/s/devices/a/irq").st_ino
    #expect(try status("/s/devices/a/vendor").st_ino == first)
    #expect(try status("/s/devices/b/vendor").st_ino == first)
    #expect(try status("/s/devices/b/irq").st_ino != first)
    #expect(try status("/s/devices/b/irq").st_mode & 0o777 == 0o400)
    #expect(try status("/s/devices/b/vendor").st_mode & 0o777 == 0o444)
    #expect(try text("/s/devices/b/name") == "b\n")
    #expect(try status("/s/devices/a/reset").st_mode & 0o777 == 0o200)
  }
}
