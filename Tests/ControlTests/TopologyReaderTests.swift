import Control
import DeviceKit
import SystemPackage
import Testing

@Suite struct TopologyReaderTests {
  private static let package = FilePath(#filePath).removingLastComponent().removingLastComponent()
    .removingLastComponent()

  @Test func defaultIsTheSharedFile() throws {
    let path = Self.package.appending("share/topology.yaml")
    #expect(try Topology(contentsOf: path, models: ["edu"]) == .default)
  }

  @Test func defaultIsTheMachineOfTheDocument() {
    let devices = Topology.default.resolvedDevices()
    #expect(
      devices.map(\.sysfsPath) == [
        "pci0000:00/0000:00:1e.0/0000:06:0d.0", "pci0000:00/0000:00:1e.0/0000:06:0d.1",
      ])
    #expect(devices.allSatisfy { $0.group == 240 && $0.model == "edu" && $0.driver == .vfio })
    guard case .bridge(let bridge)? = Topology.default.buses.first?.slots.first else {
      Issue.record("the default topology has no bridge")
      return
    }
    #expect(bridge.kind == .pci)
    #expect(bridge.identity == .init(vendorID: 0x8086, deviceID: 0x244e, revision: 0x90))
  }

  /// Every block of `docs/topology.md` that is a whole file.
  @Test func examplesOfTheDocumentationAreValid() throws {
    let bytes = try readAll(Self.package.appending("docs/topology.md"))
    let examples = String(decoding: bytes, as: UTF8.self)
      .split(separator: "```yaml\n").dropFirst()
      .compactMap { $0.split(separator: "```\n").first }
    #expect(examples.count >= 3)
    for example in examples {
      #expect(throws: Never.self) {
        var models = Models()
        return try Topology(yaml: example.utf8, file: "example", catalogue: &models)
      }
    }
  }

  private struct Models: ModelCatalogue {
    func models(on bus: Topology.BusKind) -> [String] {
      bus == .pci ? ["edu"] : ["pl081"]
    }

    func load(_ plugin: Topology.Plugin) throws {}
  }

  private func readAll(_ path: FilePath) throws -> [UInt8] {
    let file = try FileDescriptor.open(path, .readOnly)
    return try file.closeAfter {
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      return Array(bytes[..<count])
    }
  }

  private func read(_ devices: String) throws -> Topology {
    let yaml = "buses: [{bus: pci, root: 0000:00, devices: \(devices)}]"
    return try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu", "1e0"])
  }

  @Test func scalarsThatYAMLTakesForNumbers() throws {
    let topology = try read(
      "[{address: 0000:00:01.0, bridge: pci, secondary: 10, id: 0010:010e, revision: 08}]")
    let address = try #require(PCIAddress("0000:00:01.0"))
    #expect(
      topology.buses.first?.slots == [
        .bridge(
          Topology.Bridge(
            address: address, kind: .pci,
            identity: .init(vendorID: 0x0010, deviceID: 0x010e, revision: 0x08), secondary: 0x10))
      ])
    let numeric = try read("[{address: 0000:00:01.0, model: 1e0, driver: 0x10}]")
    let device = try #require(numeric.resolvedDevices().first)
    #expect(device.model == "1e0")
    #expect(device.driver == .host("0x10"))
  }

  @Test func textsInQuotes() throws {
    #expect(
      try read("[{\"address\": '0000:00:01.0', 'model': \"edu\", group: \"7\"}]")
        == read("[{address: 0000:00:01.0, model: edu, group: 7}]"))
  }

  @Test func defaultsOfADevice() throws {
    let device = try #require(try read("[{address: 0000:00:01.0, model: edu}]").buses.first?.slots)
    let address = try #require(PCIAddress("0000:00:01.0"))
    #expect(device == [.device(.init(address: address, model: "edu", group: nil, driver: .vfio))])
  }

  @Test(arguments: [
    ("vfio", Topology.Driver.vfio), ("none", .none), ("e1000e", .host("e1000e")),
    ("vfio-pci", .host("vfio-pci")),
  ])
  func driver(_ name: String, _ driver: Topology.Driver) throws {
    let topology = try read("[{address: 0000:00:01.0, model: edu, driver: \(name)}]")
    #expect(topology.resolvedDevices().map(\.driver) == [driver])
  }

  @Test(arguments: Topology.Bridge.Kind.allCases)
  func bridgeWithoutIdentity(_ kind: Topology.Bridge.Kind) throws {
    let topology = try read(
      "[{address: 0000:00:01.0, bridge: \(kind.rawValue), secondary: ff, revision: 7f}]")
    guard case .bridge(let bridge)? = topology.buses.first?.slots.first else {
      Issue.record("\(kind) was not read as a bridge")
      return
    }
    #expect(bridge.kind == kind)
    #expect(bridge.identity.deviceID == kind.usualIdentity.deviceID)
    #expect(bridge.identity.revision == 0x7f)
  }

  @Test(arguments: [("true", true), ("false", false)])
  func multiFunctionOption(_ text: String, _ value: Bool) throws {
    let yaml = "{iommu: {group_mf: \(text)}, buses: []}"
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    #expect(topology.iommu.groupsMultiFunction == value)
  }

  @Test(arguments: Topology.MergePolicy.allCases)
  func mergePolicy(_ policy: Topology.MergePolicy) throws {
    let yaml = "{iommu: {merge: \(policy.rawValue)}, buses: []}"
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: [])
    #expect(topology.iommu.merge == policy)
  }

  @Test func cacheCoherencyOfARootBus() throws {
    let yaml = """
      buses:
        - {bus: pci, root: 0000:00, devices: [{address: 0000:00:00.0, model: edu}]}
        - bus: pci
          root: 0000:40
          cache_coherent: false
          devices:
            - address: 0000:40:01.0
              bridge: root-port
              secondary: 41
              devices: [{address: 0000:41:00.0, model: edu}]
        - {bus: pci, root: 0000:80, cache_coherent: true}
      """
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu"])
    #expect(topology.iommu.merge == .similar)
    #expect(topology.buses.map(\.isCacheCoherent) == [true, false, true])
    #expect(topology.resolvedDevices().map(\.isCacheCoherent) == [true, false])
  }

  @Test func aliases() throws {
    let topology = try read(
      """
      [{address: 0000:00:01.0, model: &m edu, group: &g 3},
       {address: 0000:00:02.0, model: *m, group: *g}]
      """)
    #expect(topology.resolvedDevices().map(\.group) == [3, 3])
  }

  @Test func busesOfTheSameNumberInTwoDomains() throws {
    let yaml = """
      buses:
        - bus: pci
          root: 0001:00
          devices: [{address: 0001:00:00.0, model: edu}]
        - bus: pci
          root: 0000:00
          devices: [{address: 0000:00:00.0, model: edu}]
      """
    let topology = try Topology(yaml: yaml.utf8, file: "t.yaml", models: ["edu"])
    #expect(
      topology.resolvedDevices().map(\.sysfsPath)
        == ["pci0000:00/0000:00:00.0", "pci0001:00/0001:00:00.0"])
  }
}
