import Control
import SystemPackage
import Testing

/// What a large or deep file may do: nothing but fail.
@Suite struct TopologyLimitTests {
  @Test func sixteenMiBAndNoMore() throws {
    let valid = Array("buses: []\n#".utf8)
    let limit = 16 << 20
    let largest = valid + [UInt8](repeating: UInt8(ascii: "x"), count: limit - valid.count)
    #expect(
      try Topology(yaml: largest, file: "t.yaml", models: []) == Topology(buses: []))
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: largest + [UInt8(ascii: "x")], file: "t.yaml", models: [])
    }
    #expect(error?.description == "t.yaml: the file is larger than 16 MiB; write a smaller one")
  }

  @Test func endlessFile() {
    let error = #expect(throws: TopologyError.self) {
      try Topology(contentsOf: "/dev/zero", models: [])
    }
    #expect(
      error?.description == "/dev/zero: the file is larger than 16 MiB; write a smaller one")
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
    var topology = Topology(buses: [])
    let time = try ContinuousClock().measure {
      topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu"])
    }
    let devices = topology.resolvedDevices()
    #expect(devices.map(\.group) == Array(0..<1000))
    #expect(devices.last?.address.description == "0000:1f:07.0")
    #expect(devices.allSatisfy { $0.driver == .host("e1000e") })
    #expect(time < .seconds(1), "a topology of 1,000 devices took \(time) to read")
  }
}
