import SystemPackage
import Testing

@testable import SupervisorTransport

@Suite struct PathResolverTests {
  /// /dev/vfio, wholly ours, and a device's directory with links in a /sys that the machine has too.
  private struct Tree: EmulatedTree {
    static let nodes: [String: EmulatedNode] = [
      "/": .directory(names: ["dev", "sys"], isWhole: false),
      "/dev": .directory(names: ["vfio"], isWhole: false),
      "/dev/vfio": .directory(names: ["pci:240"], isWhole: true),
      "/dev/vfio/pci:240": .file(EmulatedFile(mode: 0o600, contents: { [] })),
      "/sys": .directory(names: ["bus"], isWhole: false),
      "/sys/bus": .directory(names: ["06:0d.0", "loop"], isWhole: false),
      "/sys/bus/06:0d.0": .link("../devices/06:0d.0"),
      "/sys/bus/loop": .link("loop"),
      "/sys/devices": .directory(names: ["06:0d.0"], isWhole: false),
      "/sys/devices/06:0d.0": .directory(names: ["vendor", "subsystem"], isWhole: true),
      "/sys/devices/06:0d.0/vendor": .file(EmulatedFile(mode: 0o444, contents: { [] })),
      "/sys/devices/06:0d.0/subsystem": .link("../../class/pci"),
    ]

    func node(at path: String) -> EmulatedNode? { Self.nodes[path] }
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
