import Control
import SystemPackage
import Testing

/// What a large or deep file may do: nothing but fail.
@Suite struct TopologyLimitTests {
  @Test func fourMiBAndNoMore() throws {
    let valid = Array("buses: []\n#".utf8)
    let limit = 4 << 20
    let largest = valid + [UInt8](repeating: UInt8(ascii: "x"), count: limit - valid.count)
    #expect(
      try Topology(yaml: largest, file: "t.yaml", models: []) == Topology(buses: []))
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: largest + [UInt8(ascii: "x")], file: "t.yaml", models: [])
    }
    #expect(error?.description == "t.yaml: the file is larger than 4 MiB; write a smaller one")
  }

  @Test func endlessFile() {
    let error = #expect(throws: TopologyError.self) {
      try Topology(contentsOf: "/dev/zero", models: [])
    }
    #expect(
      error?.description == "/dev/zero: the file is larger than 4 MiB; write a smaller one")
  }

  @Test(arguments: ["[", "- ", "? ", "{a: "])
  func deepNesting(_ opening: String) {
    let yaml = String(repeating: opening, count: 100_000)
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    }
    #expect(error?.problem.contains("Maximum nesting level reached") == true)
    #expect(error?.line == 1)
  }

  @Test func nestingThatTheParserStillAllows() {
    let yaml = "buses: " + String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    }
    #expect(error?.description == "t.yaml:1:9: buses[0]: this is a list; write a root bus")
  }

  /// Each alias is one level deeper than the one before: 200,000 levels would exhaust the stack.
  @Test func aliasesThatNest() {
    let yaml = "- &a [x]\n" + String(repeating: "- &a [*a]\n", count: 200_000)
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    }
    #expect(
      error?.description
        == "t.yaml:1:3: \"&a\" is not followed by a single value in its line; "
        + "put anchors before single values only")
  }

  /// Forty doublings, which a mapping's key makes the parser count through.
  @Test func aliasesThatDouble() {
    let doublings = (1..<40).map { "- &b\($0) [*b\($0 - 1), *b\($0 - 1)]\n" }
    let yaml = "- &b0 x\n" + doublings.joined() + "- ? *b39\n  : 1\n"
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    }
    #expect(error?.line == 2)
    #expect(error?.column == 3)
  }

  @Test(arguments: [
    "&a\n  bus: pci", "&a # here\n  bus: pci", "&a !!map\n  bus: pci", "!!map &a {bus: pci}",
    "&a \t[x]", "&a-b_1 [x]", "&a\u{2028}[x]", "&a\r[x]", "# é\n  &a [x]", "[&a {x: y}]",
    "{x:&a {x: y}}", "&a",
  ])
  func anchorOfACollection(_ item: String) {
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: "buses:\n- \(item)\n".utf8, file: "t.yaml", models: [])
    }
    #expect(error?.problem.hasSuffix("put anchors before single values only") == true)
  }

  @Test(arguments: ["&a edu", "&a 'edu'", "&a\tedu", "!!str &a edu", "R&D [x]", "edu # a & b"])
  func anchorOfASingleValue(_ model: String) throws {
    let yaml = """
      buses:
        - bus: pci
          root: 0000:00
          devices:
            - address: 0000:00:01.0
              model: \(model)
      """
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu", "R&D [x]"])
    #expect(topology.resolvedDevices().count == 1)
  }

  /// A file whose bridges stand in a row, with buses 01 to `count` behind them.
  private func chain(_ count: Int) -> String {
    var yaml = "buses:\n  - bus: pci\n    root: 0000:00\n"
    var indent = "    "
    for bus in 1...count {
      let (on, behind) = (hex(bus - 1), hex(bus))
      yaml += """
        \(indent)devices:
        \(indent)  - address: 0000:\(on):00.0
        \(indent)    bridge: root-port
        \(indent)    secondary: \(behind)

        """
      indent += "    "
    }
    return yaml + "\(indent)devices: [{address: 0000:\(hex(count)):00.0, model: edu}]\n"
  }

  private func hex(_ bus: Int) -> String {
    String(bus >> 4, radix: 16) + String(bus & 15, radix: 16)
  }

  @Test func thirtyTwoBridgesInARow() throws {
    let topology = try Topology(yaml: chain(32).utf8, file: "t.yaml", models: ["edu"])
    #expect(topology.resolvedDevices().map(\.bridges.count) == [32])
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: chain(33).utf8, file: "t.yaml", models: ["edu"])
    }
    #expect(error?.problem == "more than 32 bridges stand in a row; move these devices up")
    #expect(error?.line == 3 + 33 * 4 + 1)
  }

  @Test func thousandDevicesInGroupsOfTheirOwn() throws {
    var yaml = "buses:\n"
    for index in 0..<1000 {
      let (bus, device) = (index / 32, index % 32)
      if device == 0 {
        yaml += "  - bus: pci\n    root: 0000:\(hex(bus))\n    devices:\n"
      }
      yaml += """
              - address: 0000:\(hex(bus)):\(hex(device)).0
                model: edu
                driver: e1000e

        """
    }
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu"])
    let devices = topology.resolvedDevices()
    #expect(devices.map(\.group) == Array(0..<1000))
    #expect(devices.last?.address.description == "0000:1f:07.0")
    #expect(devices.allSatisfy { $0.driver == .host("e1000e") })
  }
}
