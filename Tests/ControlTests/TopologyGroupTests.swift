import Control
import DeviceKit
import Testing

/// Groups as the hardware dictates them.
@Suite struct TopologyGroupTests {
  private func device(
    _ address: String, group: UInt32? = nil
  ) throws -> Topology.Slot {
    let address = try #require(PCIAddress(address))
    return .device(Topology.Device(address: address, model: "edu", group: group))
  }

  private func bridge(
    _ address: String, _ kind: Topology.Bridge.Kind, _ secondary: UInt8, _ slots: [Topology.Slot]
  ) throws -> Topology.Slot {
    let address = try #require(PCIAddress(address))
    return .bridge(
      Topology.Bridge(address: address, kind: kind, secondary: secondary, slots: slots))
  }

  private func groups(
    _ slots: [Topology.Slot], groupsMultiFunction: Bool = false
  ) -> [String: UInt32] {
    let topology = Topology(
      iommu: .init(groupsMultiFunction: groupsMultiFunction),
      buses: [.init(address: PCIBusAddress(bus: 0), slots: slots)])
    return Dictionary(
      uniqueKeysWithValues: topology.resolvedDevices().map { ($0.address.description, $0.group) })
  }

  @Test func bridgesInOrder() throws {
    let slots = [
      try bridge(
        "0000:00:01.0", .rootPort, 1,
        [device("0000:01:00.0"), bridge("0000:01:01.0", .pci, 2, [])]),
      try bridge("0000:00:03.0", .pci, 5, []),
    ]
    let buses = [
      Topology.RootBus(address: PCIBusAddress(bus: 0), slots: slots),
      Topology.RootBus(
        address: PCIBusAddress(bus: 0x80), slots: [try bridge("0000:80:00.0", .pci, 0x81, [])]),
    ]
    #expect(Topology(buses: buses).bridges.map(\.secondary) == [1, 2, 5, 0x81])
  }

  @Test(arguments: Topology.Bridge.Kind.allCases)
  func twoDevicesBehindABridge(_ kind: Topology.Bridge.Kind) throws {
    let shares = kind == .pci || kind == .pcieToPCI
    let groups = try groups([
      bridge(
        "0000:00:01.0", kind, 1, [device("0000:01:00.0"), device("0000:01:01.0")]),
      device("0000:00:02.0"),
    ])
    #expect(
      groups == [
        "0000:00:02.0": 0, "0000:01:00.0": 1, "0000:01:01.0": shares ? 1 : 2,
      ])
  }

  @Test(arguments: [Topology.Bridge.Kind.pci, .pcieToPCI])
  func wholeSubtreeOfTheTopmostBridge(_ kind: Topology.Bridge.Kind) throws {
    let groups = try groups([
      bridge(
        "0000:00:01.0", .rootPort, 1,
        [
          bridge(
            "0000:01:00.0", kind, 2,
            [
              device("0000:02:00.0"),
              bridge("0000:02:01.0", .pci, 3, [device("0000:03:00.0")]),
              bridge("0000:02:02.0", .rootPort, 4, [device("0000:04:00.0")]),
            ])
        ]),
      bridge("0000:00:03.0", kind, 5, [device("0000:05:00.0")]),
    ])
    #expect(
      groups == [
        "0000:02:00.0": 0, "0000:03:00.0": 0, "0000:04:00.0": 0, "0000:05:00.0": 1,
      ])
  }

  @Test func portsOfASwitchIsolate() throws {
    let groups = try groups([
      bridge(
        "0000:00:01.0", .rootPort, 1,
        [
          bridge(
            "0000:01:00.0", .switchUpstream, 2,
            [
              bridge("0000:02:00.0", .switchDownstream, 3, [device("0000:03:00.0")]),
              bridge("0000:02:01.0", .switchDownstream, 4, [device("0000:04:00.0")]),
            ])
        ])
    ])
    #expect(groups == ["0000:03:00.0": 0, "0000:04:00.0": 1])
  }

  @Test func functionsStayApartUnlessTold() throws {
    let slots = try [
      device("0000:00:02.0"), device("0000:00:02.1"), device("0000:00:03.1"),
    ]
    #expect(groups(slots) == ["0000:00:02.0": 0, "0000:00:02.1": 1, "0000:00:03.1": 2])
    #expect(
      groups(slots, groupsMultiFunction: true)
        == ["0000:00:02.0": 0, "0000:00:02.1": 0, "0000:00:03.1": 1])
  }

  /// A conventional bridge puts its own address on what passes it, so what is behind it shares with
  /// the bridge's sister functions. A PCI Express one does not.
  @Test(arguments: [Topology.Bridge.Kind.pci, .pcieToPCI])
  func sisterFunctionsOfABridge(_ kind: Topology.Bridge.Kind) throws {
    let slots = try [
      device("0000:00:02.1"), bridge("0000:00:02.0", kind, 1, [device("0000:01:05.0")]),
    ]
    #expect(groups(slots) == ["0000:00:02.1": 0, "0000:01:05.0": 1])
    #expect(
      groups(slots, groupsMultiFunction: true)
        == ["0000:00:02.1": 0, "0000:01:05.0": kind == .pci ? 0 : 1])
  }

  @Test func withoutAnIOMMUNobodySharesAGroup() throws {
    func topology(_ first: String, _ second: String) throws -> Topology {
      let text = """
        buses:
          - bus: pci
            root: 0000:00
            devices:
              - { address: 0000:00:01.0, bridge: pci, secondary: 01, devices: [
                  { address: 0000:01:00.0, model: edu, \(first) },
                  { address: 0000:01:00.1, model: edu, \(second) } ] }
        """
      return try Topology(yaml: text.utf8, file: "test.yaml", models: ["edu"])
    }
    let computed = try topology("iommu: false", "iommu: true").resolvedDevices()
    #expect(computed.map(\.group) == [0, 1])
    #expect(computed.map(\.hasIOMMU) == [false, true])
    #expect(throws: Never.self) { try topology("group: 5", "group: 5") }
    #expect(throws: Never.self) { try topology("group: 5, iommu: false", "group: 6") }
    #expect(throws: TopologyError.self) { try topology("group: 5, iommu: false", "group: 5") }
    #expect(throws: TopologyError.self) { try topology("group: 5", "group: 5, iommu: false") }
  }

  @Test func explicitNumbersStandAndAreNotGivenTwice() throws {
    let groups = try groups([
      device("0000:00:01.0"), device("0000:00:02.0", group: 1), device("0000:00:03.0"),
      device("0000:00:04.0", group: 0), device("0000:00:05.0", group: .max),
    ])
    #expect(
      groups == [
        "0000:00:01.0": 2, "0000:00:02.0": 1, "0000:00:03.0": 3, "0000:00:04.0": 0,
        "0000:00:05.0": .max,
      ])
  }

  @Test func explicitNumbersSayNothingOfSiblings() throws {
    let behind = try groups([
      bridge(
        "0000:00:01.0", .pci, 1,
        [
          device("0000:01:00.0", group: 240), device("0000:01:01.0"), device("0000:01:02.0"),
        ])
    ])
    #expect(behind == ["0000:01:00.0": 240, "0000:01:01.0": 0, "0000:01:02.0": 0])
    let functions = try groups(
      [device("0000:00:01.0", group: 240), device("0000:00:01.1")], groupsMultiFunction: true)
    #expect(functions == ["0000:00:01.0": 240, "0000:00:01.1": 0])
  }

  @Test func numbersFollowAddressesNotTheOrderInTheFile() throws {
    let slots = try [device("0000:00:1f.0"), device("0000:00:02.0"), device("0000:00:0a.0")]
    let expected: [String: UInt32] = ["0000:00:02.0": 0, "0000:00:0a.0": 1, "0000:00:1f.0": 2]
    #expect(groups(slots) == expected)
    #expect(groups(slots.reversed()) == expected)
  }
}
