import Control
import DeviceKit
import SystemPackage
import Testing

/// `params`, `reset` and `rom` of a device.
struct TopologyParameterTests {
  static let parameters: [String: [DeviceParameter]] = [
    "ram": [
      DeviceParameter("size", .size(4096...1 << 30)), DeviceParameter("vectors", .number(0...64)),
      DeviceParameter("shared", .name),
    ]
  ]

  private func topology(_ fields: String) throws(TopologyError) -> Topology {
    try Topology(
      yaml: """
        buses:
        - bus: pci
          root: 0000:00
          devices:
          - address: 0000:00:01.0
            \(fields)

        """.utf8, file: "/tmp/t.yaml", models: ["ram", "edu"], parameters: Self.parameters)
  }

  private func device(_ fields: String) throws -> ResolvedDevice {
    try #require(try topology(fields).resolvedDevices().first)
  }

  @Test func values() throws {
    let given = try device("model: ram\n    params: {size: 64K, vectors: 7, shared: a-B_1}")
    #expect(
      given.parameters == ["size": .number(65536), "vectors": .number(7), "shared": .text("a-B_1")])
    #expect(try device("model: ram").parameters == [:])
    for (text, size) in [("4096", 4096), ("4K", 4096), ("2M", 2 << 20), ("1G", 1 << 30)] {
      #expect(
        try device("model: ram\n    params: {size: \(text)}").parameters.number("size")
          == UInt64(size))
    }
    #expect(try device("model: edu\n    reset: bus").reset == .bus)
    #expect(try device("model: edu").reset == nil)
  }

  static let wrong: [(String, String)] = [
    (
      "model: ram\n    params: {sise: 4K}",
      "\"sise\" is not a parameter of ram; did you mean \"size\"?"
    ),
    (
      "model: ram\n    params: {colour: red}",
      "\"colour\" is not a parameter of ram; the parameters are size, vectors and shared"
    ),
    ("model: edu\n    params: {size: 4K}", "\"size\" is not a parameter of edu; it has none"),
    ("model: ram\n    params: {size: 4K, size: 8K}", "\"size\" is here twice; leave one out"),
    (
      "model: ram\n    params: {size: 5000}",
      "params.size: \"5000\" is not what size may be; write a power of two from 4K to 1G"
    ),
    ("model: ram\n    params: {size: 2G}", "write a power of two from 4K to 1G"),
    ("model: ram\n    params: {size: 99999999999999999999G}", "is not what size may be"),
    ("model: ram\n    params: {size: 18446744073709551615K}", "is not what size may be"),
    ("model: ram\n    params: {vectors: 65}", "write a number from 0 to 64"),
    ("model: ram\n    params: {vectors: 07}", "write a number from 0 to 64"),
    ("model: ram\n    params: {shared: a/b}", "write 1 to 64 letters, digits, - and _"),
    (
      "model: ram\n    params: [4K]",
      "params: this is a list; write a mapping of the model's parameters"
    ),
    (
      "model: edu\n    reset: bsu",
      "reset: \"bsu\" is not a way to reset a device; did you mean \"bus\"?"
    ),
    (
      "model: edu\n    rom: none.rom",
      "rom: /tmp/none.rom cannot be read; name a file that the daemon may read"
    ),
    (
      "model: edu\n    rom: /dev/null",
      "rom: /dev/null is not the image of an expansion ROM; name one that begins with 55 aa"
    ),
    ("model: edu\n    rom: /dev/zero", "rom: /dev/zero is larger than 4 MiB; name a smaller one"),
  ]

  @Test func sharedTopologies() throws {
    let share = FilePath(#filePath).removingLastComponent().removingLastComponent()
      .removingLastComponent().appending("share/topologies")
    let edu = try Topology(contentsOf: share.appending("oracle-edu.yaml"), models: ["edu"])
    let device = try #require(edu.resolvedDevices().first)
    #expect(edu.resolvedDevices().count == 1)
    #expect(
      "\(device.address)" == "0000:00:04.0" && device.group == 4
        && device.reset == PCIFunctionDescription.Reset.none)
  }

  @Test func errors() throws {
    for (fields, message) in Self.wrong {
      let error = #expect(throws: TopologyError.self, Comment(rawValue: fields)) {
        try topology(fields)
      }
      let text = error?.description ?? ""
      #expect(text.contains(message), "\(text)")
    }
  }
}
