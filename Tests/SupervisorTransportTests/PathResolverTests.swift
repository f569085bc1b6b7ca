import SystemPackage
import Testing

@testable import SupervisorTransport

@Suite struct PathResolverTests {
  /// /dev/vfio, wholly ours, and a device's directory with links in a /sys that the machine has too.
  private struct Tree: EmulatedTree {
    let root = EmulatedDirectory([
      "dev": .directory(
        EmulatedDirectory([
          "vfio": .directory(EmulatedDirectory(["pci:240": .empty], isWhole: true))
        ])),
      "sys": .directory(
        EmulatedDirectory([
          "bus": .directory(
            EmulatedDirectory(["06:0d.0": .link("../devices/06:0d.0"), "loop": .link("loop")])),
          "devices": .directory(
            EmulatedDirectory([
              "06:0d.0": .directory(
                EmulatedDirectory(
                  ["vendor": .empty, "subsystem": .link("../../class/pci")], isWhole: true))
            ])),
        ])),
    ])
  }

  @Test(arguments: [
    ("/dev/vfio/pci:240", "/", "/dev/vfio/pci:240"),
    ("/dev//vfio/./pci:240", "/", "/dev/vfio/pci:240"),
    ("/usr/../dev/vfio/pci:240", "/", "/dev/vfio/pci:240"),
    ("/../dev/vfio", "/", "/dev/vfio"),
    ("/dev/vfio/", "/", "/dev/vfio"),
    ("vfio/pci:240", "/dev", "/dev/vfio/pci:240"),
    ("../vfio/pci:240", "/dev/vfio", "/dev/vfio/pci:240"),
    ("pci:240", "/dev/vfio", "/dev/vfio/pci:240"),
    ("/sys/bus/06:0d.0/vendor", "/", "/sys/devices/06:0d.0/vendor"),
    ("/sys/bus/06:0d.0/", "/", "/sys/devices/06:0d.0"),
  ]) func leadsToANode(path: String, directory: String, expected: String) throws {
    #expect(try resolve(path, in: directory) == .node(expected))
  }

  @Test(arguments: ["/usr/bin/env", "/dev/null", "/devices", "/sys/kernel", "/sys/bus/usb"])
  func isTheMachines(path: String) throws {
    #expect(try resolve(path) == .untouched)
  }

  @Test func aLinkAtTheEnd() throws {
    #expect(try resolve("/sys/bus/06:0d.0", followsLast: false) == .node("/sys/bus/06:0d.0"))
    #expect(try resolve("/sys/bus/06:0d.0") == .node("/sys/devices/06:0d.0"))
  }

  @Test func aLinkThatLeadsOut() throws {
    let path = "/sys/bus/06:0d.0/subsystem/drivers"
    #expect(try resolve(path) == .real("/sys/class/pci/drivers"))
  }

  @Test func fromADirectoryThatTheKernelTakesForAnother() throws {
    #expect(try resolve("../../etc", in: "/sys/bus", isElsewhere: true) == .real("/etc"))
    #expect(try resolve("usb", in: "/sys/bus", isElsewhere: true) == .real("/sys/bus/usb"))
    let parent = try resolve("..", in: "/sys/devices/06:0d.0", isElsewhere: true)
    #expect(parent == .node("/sys/devices"))
    #expect(try resolve("/etc", in: "/sys/bus", isElsewhere: true) == .untouched)
  }

  @Test(arguments: [
    ("/dev/vfio/none", Errno.noSuchFileOrDirectory),
    ("/sys/devices/06:0d.0/none/x", .noSuchFileOrDirectory),
    ("/dev/vfio/pci:240/", .notDirectory),
    ("/dev/vfio/pci:240/x", .notDirectory),
    ("/sys/bus/loop", .tooManySymbolicLinkLevels),
  ]) func breaksOff(path: String, error: Errno) {
    #expect(throws: error) { try resolve(path) }
  }

  private enum Outcome: Equatable {
    case untouched
    case node(String)
    case real(String)
  }

  private func resolve(
    _ path: String, in directory: String = "/", isElsewhere: Bool = false, followsLast: Bool = true
  ) throws -> Outcome {
    switch try PathResolver(tree: Tree())
      .resolve(path, in: directory, isElsewhere: isElsewhere, followsLast: followsLast)
    {
    case .untouched: .untouched
    case .node(let path, _): .node(path)
    case .real(let path): .real(path)
    }
  }
}

extension EmulatedDirectory {
  fileprivate init(_ nodes: [String: EmulatedNode], isWhole: Bool = false) {
    self.init(isWhole: isWhole, names: { nodes.keys.sorted() }, child: { nodes[$0] })
  }
}

extension EmulatedNode {
  fileprivate static var empty: EmulatedNode {
    .file(EmulatedFile(mode: 0o600, contents: { [] }))
  }
}
