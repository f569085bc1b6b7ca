import Control
import SystemPackage
import Testing

/// What is said of a wrong file, word for word.
@Suite struct TopologyErrorTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var name: String
    var yaml: String
    var message: String
    var testDescription: String { name }

    init(_ name: String, _ yaml: String, _ message: String) {
      self.name = name
      self.yaml = yaml
      self.message = message
    }

    /// `entry` in the list of devices of bus 0000:00; its first line is line 5 of the file.
    static func entry(_ name: String, _ entry: String, _ message: String) -> Case {
      let lines = entry.split(separator: "\n").map { "      \($0)" }.joined(separator: "\n")
      return Case(
        name, "buses:\n  - bus: pci\n    root: 0000:00\n    devices:\n\(lines)\n", message)
    }
  }

  static let addressForm =
    "domain:bus:device.function in hexadecimal, device 00 to 1f, function 0 to 7, "
    + "such as 0000:06:0d.0"
  static let numberForm = "a decimal number from 0 to 4294967295, without leading zeros"
  static let bridge = "- address: 0000:00:01.0\n  bridge: pci\n  secondary: 06\n"

  static let documents: [Case] = [
    Case("empty", "", "t.yaml: the file is empty; write buses: and a list of buses"),
    Case(
      "only a comment", "# nothing\n",
      "t.yaml: the file is empty; write buses: and a list of buses"),
    Case(
      "only a marker", "---\n", "t.yaml: the file is empty; write buses: and a list of buses"),
    Case(
      "a list", "- bus: pci\n",
      "t.yaml:1:1: this is a list; write buses: and a list of buses"),
    Case(
      "a text", "\npci\n",
      "t.yaml:2:1: this is the text \"pci\"; write buses: and a list of buses"),
    Case(
      "two documents", "buses: []\n---\nbuses: []\n",
      "t.yaml:3:1: a second YAML document starts here; write one document in a file"),
    Case(
      "broken flow", "buses: [\n  {bus: pci\n",
      "t.yaml:3:1: this is not YAML: did not find expected ',' or '}' "
        + "(while parsing a flow mapping, line 2); correct the line or its indentation"),
    Case(
      "broken indentation", "buses:\n  - bus: pci\n   root: 0000:00\n",
      "t.yaml:3:4: this is not YAML: did not find expected '-' indicator "
        + "(while parsing a block collection, line 2); correct the line or its indentation"),
    Case(
      "a tab", "buses:\n\t- bus: pci\n",
      "t.yaml:2:1: this is not YAML: found character that cannot start any token "
        + "(while scanning for the next token, line 2); correct the line or its indentation"),
    Case(
      "a control character", "buses: []\n# \u{1}\n",
      "t.yaml:2: this is not YAML: control characters are not allowed; take the character out"),
    Case(
      "an unknown alias", "buses:\n  - *pci\n",
      "t.yaml:2:5: this is not YAML: found undefined alias; "
        + "correct the line or its indentation"),
    Case(
      "a field twice", "buses: []\nbuses: []\n",
      "t.yaml:1:1: \"buses\" is here twice; leave one out"),
    Case(
      "a field twice under two tags", "buses: []\n!x buses: []\n",
      "t.yaml:2:1: \"buses\" is here twice; leave one out"),
    Case(
      "a list as a field's name", "? [a]\n: b\n",
      "t.yaml:1:3: a field's name is one word; write iommu, plugins or buses"),
    Case(
      "an unknown field", "bus: []\n",
      "t.yaml:1:1: \"bus\" is not a field of a topology; the fields are iommu, plugins and buses"),
    Case(
      "a misspelt field", "buses: []\niomu: {}\n",
      "t.yaml:2:1: \"iomu\" is not a field of a topology; did you mean \"iommu\"?"),
    Case(
      "no buses", "iommu: {}\n", "t.yaml:1:1: buses is missing; write buses: a list of root buses"),
    Case(
      "empty buses", "buses:\n", "t.yaml:1:7: buses: nothing is here; write a list of root buses"),
    Case(
      "buses as text", "buses: pci\n",
      "t.yaml:1:8: buses: this is the text \"pci\"; write a list of root buses"),
    Case(
      "a bus as text", "buses:\n  - pci\n",
      "t.yaml:2:5: buses[0]: this is the text \"pci\"; write a root bus"),
    Case(
      "an unknown IOMMU option", "buses: []\niommu:\n  groupmf: true\n",
      "t.yaml:3:3: iommu: \"groupmf\" is not a field of iommu; did you mean \"group_mf\"?"),
    Case(
      "iommu as text", "buses: []\niommu: group_mf\n",
      "t.yaml:2:8: iommu: this is the text \"group_mf\"; "
        + "write a mapping of options, such as group_mf: true"),
    Case(
      "yes for true", "buses: []\niommu: {group_mf: yes}\n",
      "t.yaml:2:19: iommu.group_mf: \"yes\" is not true or false; write true or false"),
    Case(
      "an unknown merge policy", "buses: []\niommu: {merge: always}\n",
      "t.yaml:2:16: iommu.merge: \"always\" is not a merge policy; write never, similar or any"),
    Case(
      "no for false", "buses:\n  - {bus: pci, root: 0000:00, cache_coherent: no}\n",
      "t.yaml:2:47: buses[0].cache_coherent: \"no\" is not true or false; write true or false"),
    Case(
      "an unknown kind of bus", "buses:\n  - bus: isa\n    root: 0000:00\n",
      "t.yaml:2:10: buses[0].bus: \"isa\" is not a kind of bus; write pci or platform"),
    Case(
      "no root", "buses:\n  - bus: pci\n",
      "t.yaml:2:5: buses[0]: root is missing; "
        + "write root: domain:bus in hexadecimal, such as 0000:00"),
    Case(
      "a bad root", "buses:\n  - bus: pci\n    root: 00\n",
      "t.yaml:3:11: buses[0].root: \"00\" is not a root bus; "
        + "write domain:bus in hexadecimal, such as 0000:00"),
    Case(
      "a root twice", "buses:\n  - {bus: pci, root: 0000:00}\n  - {bus: pci, root: 0000:00}\n",
      "t.yaml:3:22: buses[1].root: bus 0000:00 is in line 2 already; write another bus number"),
  ]

  static let entries: [Case] = [
    .entry(
      "an unknown field of a device", "- address: 0000:00:01.0\n  modle: edu",
      "t.yaml:6:9: buses[0].devices[0]: \"modle\" is not a field of a device; "
        + "did you mean \"model\"?"),
    .entry(
      "a misspelt bridge", "- address: 0000:00:01.0\n  brigde: pci",
      "t.yaml:6:9: buses[0].devices[0]: \"brigde\" is not a field of a device; "
        + "did you mean \"bridge\"?"),
    .entry(
      "a bridge's field", "- address: 0000:00:01.0\n  secondary: 06",
      "t.yaml:6:9: buses[0].devices[0]: \"secondary\" is a field of a bridge, not of a device; "
        + "take it out or write what makes this a bridge"),
    .entry(
      "a device's field on a bridge", bridge + "  group: 1",
      "t.yaml:8:9: buses[0].devices[0]: \"group\" is not a field of a bridge; "
        + "the fields are address, bridge, secondary, id, revision and devices"),
    .entry(
      "no address", "- model: edu",
      "t.yaml:5:9: buses[0].devices[0]: address is missing; write address: \(addressForm)"),
    .entry(
      "no model", "- address: 0000:00:01.0",
      "t.yaml:5:9: buses[0].devices[0]: model is missing; "
        + "write model: the name of a device model"),
    .entry(
      "function 9", "- address: 0000:00:0d.9\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: \"0000:00:0d.9\" is not a PCI address; "
        + "write \(addressForm)"),
    .entry(
      "device 20", "- address: 0000:00:20.0\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: \"0000:00:20.0\" is not a PCI address; "
        + "write \(addressForm)"),
    .entry(
      "no domain", "- address: 00:1e.0\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: \"00:1e.0\" is not a PCI address; "
        + "write \(addressForm)"),
    .entry(
      "an address as a list", "- address: [0000, 00]\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: this is a list; write \(addressForm)"),
    .entry(
      "an address twice",
      "- address: 0000:00:01.0\n  model: edu\n- model: edu\n  address: 0000:00:01.0",
      "t.yaml:8:18: buses[0].devices[1].address: 0000:00:01.0 is in line 5 already; "
        + "write another address"),
    .entry(
      "an alias of a wrong value",
      "- address: &a 0000:00:01.0\n  model: edu\n- address: *a\n  model: edu",
      "t.yaml:5:18: buses[0].devices[1].address: 0000:00:01.0 is in line 5 already; "
        + "write another address"),
    .entry(
      "a device on another bus", bridge + "  devices:\n    - {address: 0000:07:00.0, model: edu}",
      "t.yaml:9:23: buses[0].devices[0].devices[0].address: 0000:07:00.0 is on bus 0000:07, "
        + "but it stands under bus 0000:06; "
        + "write an address that starts with 0000:06, or move it to its bus"),
    .entry(
      "a device of another domain", "- address: 0001:00:01.0\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: 0001:00:01.0 is on bus 0001:00, "
        + "but it stands under bus 0000:00; "
        + "write an address that starts with 0000:00, or move it to its bus"),
    .entry(
      "a bus twice", bridge + "- address: 0000:00:02.0\n  bridge: root-port\n  secondary: 06",
      "t.yaml:10:20: buses[0].devices[1].secondary: bus 0000:06 is in line 7 already; "
        + "write another bus number"),
    .entry(
      "a bus behind itself", "- address: 0000:00:01.0\n  bridge: pci\n  secondary: 00",
      "t.yaml:7:20: buses[0].devices[0].secondary: bus 0000:00 cannot be behind a bridge on bus "
        + "0000:00; write a greater number"),
    .entry(
      "a bus in one digit", "- address: 0000:00:01.0\n  bridge: pci\n  secondary: 6",
      "t.yaml:7:20: buses[0].devices[0].secondary: \"6\" is not a bus number; write the number "
        + "of the bus behind the bridge in two hexadecimal digits, such as 06"),
    .entry(
      "no secondary", "- address: 0000:00:01.0\n  bridge: pci",
      "t.yaml:5:9: buses[0].devices[0]: secondary is missing; write secondary: the number "
        + "of the bus behind the bridge in two hexadecimal digits, such as 06"),
    .entry(
      "an unknown kind of bridge", "- address: 0000:00:01.0\n  bridge: isa\n  secondary: 06",
      "t.yaml:6:17: buses[0].devices[0].bridge: \"isa\" is not a kind of bridge; "
        + "write pci, pcie-to-pci, root-port, switch-upstream or switch-downstream"),
    .entry(
      "a misspelt kind of bridge", "- address: 0000:00:01.0\n  bridge: rootport\n  secondary: 06",
      "t.yaml:6:17: buses[0].devices[0].bridge: \"rootport\" is not a kind of bridge; "
        + "did you mean \"root-port\"?"),
    .entry(
      "a bad ID", bridge + "  id: 8086",
      "t.yaml:8:13: buses[0].devices[0].id: \"8086\" is not an ID; "
        + "write vendor:device in hexadecimal, such as 8086:244e"),
    .entry(
      "a bad revision", bridge + "  revision: 0x90",
      "t.yaml:8:19: buses[0].devices[0].revision: \"0x90\" is not a revision; "
        + "write two hexadecimal digits, such as 90"),
    .entry(
      "an unknown model", "- address: 0000:00:01.0\n  model: nvme",
      "t.yaml:6:16: buses[0].devices[0].model: \"nvme\" is not a device model; "
        + "write counter or edu"),
    .entry(
      "a misspelt model", "- address: 0000:00:01.0\n  model: deu",
      "t.yaml:6:16: buses[0].devices[0].model: \"deu\" is not a device model; "
        + "did you mean \"edu\"?"),
    .entry(
      "a model with a letter missing", "- address: 0000:00:01.0\n  model: conter",
      "t.yaml:6:16: buses[0].devices[0].model: \"conter\" is not a device model; "
        + "did you mean \"counter\"?"),
    .entry(
      "a negative group", "- address: 0000:00:01.0\n  model: edu\n  group: -1",
      "t.yaml:7:16: buses[0].devices[0].group: \"-1\" is not a group number; "
        + "write \(numberForm)"),
    .entry(
      "a group above 32 bits", "- address: 0000:00:01.0\n  model: edu\n  group: 4294967296",
      "t.yaml:7:16: buses[0].devices[0].group: \"4294967296\" is not a group number; "
        + "write \(numberForm)"),
    .entry(
      "an octal group", "- address: 0000:00:01.0\n  model: edu\n  group: 010",
      "t.yaml:7:16: buses[0].devices[0].group: \"010\" is not a group number; "
        + "write \(numberForm)"),
    .entry(
      "an empty group", "- address: 0000:00:01.0\n  model: edu\n  group:",
      "t.yaml:7:15: buses[0].devices[0].group: nothing is here; write \(numberForm)"),
    .entry(
      "a driver that is a path", "- address: 0000:00:01.0\n  model: edu\n  driver: ../x",
      "t.yaml:7:17: buses[0].devices[0].driver: \"../x\" is not a driver's name; "
        + "write vfio, none or the name of a host driver"),
    .entry(
      "empty devices", bridge + "  devices:",
      "t.yaml:8:17: buses[0].devices[0].devices: nothing is here; "
        + "write a list of bridges and devices"),
    .entry(
      "long text on many lines",
      "- address: \"\(String(repeating: "x", count: 70))\\nevil\"\n  model: edu",
      "t.yaml:5:18: buses[0].devices[0].address: "
        + "\"\(String(repeating: "x", count: 60))…\" is not a PCI address; write \(addressForm)"),
    .entry(
      "a line break in a name", "- address: 0000:00:01.0\n  model: \"e\\ndu\"",
      "t.yaml:6:16: buses[0].devices[0].model: \"e\\ndu\" is not a device model; "
        + "did you mean \"edu\"?"),
  ]

  @Test(arguments: documents + entries)
  func message(_ wrong: Case) {
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: wrong.yaml.utf8, file: "t.yaml", models: ["edu", "counter"])
    }
    #expect(error?.description == wrong.message)
  }

  @Test func textThatIsNotUTF8() {
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: Array("buses: []\n# ".utf8) + [0xff], file: "t.yaml", models: [])
    }
    #expect(error?.description == "t.yaml:2: this is not UTF-8; save the file as UTF-8")
  }

  @Test func noModels() {
    let yaml = "buses:\n  - {bus: pci, root: 0000:00, devices: [{address: 0000:00:01.0, model: a}]}"
    let error = #expect(throws: TopologyError.self) {
      try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    }
    #expect(error?.problem == "\"a\" is not a device model; the daemon knows none")
  }

  @Test func fileThatIsNotThere() {
    let error = #expect(throws: TopologyError.self) {
      try Topology(contentsOf: "/nowhere/t.yaml", models: [])
    }
    #expect(
      error?.description
        == "/nowhere/t.yaml: the file cannot be read (No such file or directory); "
        + "name one that the daemon may read")
  }

  @Test func fileThatIsADirectory() {
    let error = #expect(throws: TopologyError.self) { try Topology(contentsOf: "/", models: []) }
    #expect(
      error?.description
        == "/: the file cannot be read (Is a directory); name one that the daemon may read")
  }
}
