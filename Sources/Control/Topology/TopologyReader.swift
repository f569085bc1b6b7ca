public import DeviceKit
public import SystemPackage

extension Topology {
  /// Reads a topology file.
  ///
  /// - Parameters:
  ///   - models: the names that `model` may have on a PCI bus.
  ///   - parameters: what `params` may say, by model.
  public init(
    contentsOf path: FilePath, models: some Sequence<String>,
    parameters: [String: [DeviceParameter]] = [:]
  ) throws(TopologyError) {
    var models = FixedModels(pci: Array(models), parameters: parameters)
    try self.init(contentsOf: path, catalogue: &models)
  }

  /// Reads a topology file, and has its plug-ins loaded on the way.
  public init(
    contentsOf path: FilePath, catalogue: inout some ModelCatalogue
  ) throws(TopologyError) {
    try self.init(yaml: YAMLDocument.read(path), file: path.string, catalogue: &catalogue)
  }

  /// Reads a topology from what a file holds.
  ///
  /// - Parameters:
  ///   - yaml: the file's bytes, UTF-8.
  ///   - file: the file's name, for messages.
  ///   - models: the names that `model` may have on a PCI bus.
  ///   - parameters: what `params` may say, by model.
  public init(
    yaml: some Sequence<UInt8>, file: String, models: some Sequence<String>,
    parameters: [String: [DeviceParameter]] = [:]
  ) throws(TopologyError) {
    var models = FixedModels(pci: Array(models), parameters: parameters)
    try self.init(yaml: yaml, file: file, catalogue: &models)
  }

  /// Reads a topology from what a file holds, and has its plug-ins loaded on the way.
  ///
  /// - Parameters:
  ///   - yaml: the file's bytes, UTF-8.
  ///   - file: the file's name, for messages and for the paths in it.
  public init(
    yaml: some Sequence<UInt8>, file: String, catalogue: inout some ModelCatalogue
  ) throws(TopologyError) {
    let root = try YAMLDocument.compose(Array(yaml), file: file, form: "buses: and a list of buses")
    let plugins = try TopologyReader.plugins(root, loadingInto: &catalogue)
    var reader = TopologyReader(models: catalogue)
    self = try reader.topology(root)
    self.plugins = plugins
  }
}

/// Reads the parts of a topology, and remembers what must be there only once.
struct TopologyReader {
  /// No machine chains more bridges, and a file cannot exhaust the stack with them.
  static let bridgeLimit = 32

  let models: any ModelCatalogue
  private var linesOfAddresses: [PCIAddress: Int] = [:]
  private var linesOfBuses: [PCIBusAddress: Int] = [:]
  private var linesOfGroups: [UInt32: (line: Int, hasIOMMU: Bool)] = [:]
  var linesOfNames: [String: Int] = [:]
  var lineOfPlatformBus: Int?

  init(models: any ModelCatalogue) {
    self.models = models
  }

  mutating func topology(_ value: YAMLValue) throws(TopologyError) -> Topology {
    let fields = try value.fields(TopologyField.self)
    var topology = Topology(buses: [])
    if let value = fields[.iommu] { topology.iommu = try iommu(value) }
    // A plug-in may bring the only buses.
    let buses = fields[.plugins] == nil ? try fields.required(.buses) : fields[.buses]
    for item in try buses?.items("a root bus") ?? [] {
      switch try kind(of: item) {
      case .pci: topology.buses.append(try rootBus(item))
      case .platform: topology.platform = try platformBus(item)
      }
    }
    return topology
  }

  private func iommu(_ value: YAMLValue) throws(TopologyError) -> Topology.IOMMU {
    try Topology.IOMMU(value)
  }

  private mutating func rootBus(_ value: YAMLValue) throws(TopologyError) -> Topology.RootBus {
    let fields = try value.fields(RootBusField.self)
    let root = try fields.required(.root)
    let address = try root.value("a root bus", PCIBusAddress.init)
    try claim(address, at: root)
    let isCacheCoherent =
      try fields[.cacheCoherent]?.value("true or false", Bool.init) ?? true
    return Topology.RootBus(
      address: address, isCacheCoherent: isCacheCoherent,
      slots: try slots(fields[.devices], on: address, bridges: 0))
  }

  private mutating func slots(
    _ value: YAMLValue?, on bus: PCIBusAddress, bridges: Int
  ) throws(TopologyError) -> [Topology.Slot] {
    guard let value else { return [] }
    guard bridges <= Self.bridgeLimit else {
      throw value.error(
        "more than \(Self.bridgeLimit) bridges stand in a row", "move these devices up")
    }
    var slots: [Topology.Slot] = []
    for item in try value.items("a bridge or a device") {
      if item.hasField(BridgeField.bridge.rawValue) {
        slots.append(.bridge(try bridge(item, on: bus, bridges: bridges)))
      } else {
        slots.append(.device(try device(item, on: bus)))
      }
    }
    return slots
  }

  private mutating func bridge(
    _ value: YAMLValue, on bus: PCIBusAddress, bridges: Int
  ) throws(TopologyError) -> Topology.Bridge {
    let fields = try value.fields(BridgeField.self)
    let address = try address(fields.required(.address), on: bus)
    let kind = try fields.required(.bridge)
      .choice("a kind of bridge", of: Topology.Bridge.Kind.self)
    let secondary = try secondary(fields.required(.secondary), of: address)
    var bridge = Topology.Bridge(address: address, kind: kind, secondary: secondary)
    if let value = fields[.id] {
      bridge.identity = try value.value("an ID", Topology.Bridge.Identity.init(vendorAndDevice:))
    }
    if let value = fields[.revision] {
      bridge.identity.revision = try value.value("a revision", hexByte)
    }
    bridge.slots = try slots(fields[.devices], on: bridge.secondaryBus, bridges: bridges + 1)
    return bridge
  }

  private mutating func device(
    _ value: YAMLValue, on bus: PCIBusAddress
  ) throws(TopologyError) -> Topology.Device {
    let fields = try value.fields(DeviceField.self)
    let address = try address(fields.required(.address), on: bus)
    var device = Topology.Device(
      address: address, model: try model(fields.required(.model), on: .pci))
    device.group = try group(fields[.group])
    if let value = fields[.iommu] {
      device.hasIOMMU = try value.value("true or false", Bool.init)
    }
    if let value = fields[.group], let group = device.group {
      try join(group, at: value, hasIOMMU: device.hasIOMMU)
    }
    if let value = fields[.driver] { device.driver = try driver(value) }
    if let value = fields[.params] {
      device.parameters = try parameters(value, of: device.model)
    }
    if let value = fields[.reset] {
      device.reset = try value.choice(
        "a way to reset a device", of: PCIFunctionDescription.Reset.self)
    }
    if let value = fields[.rom] { device.rom = try rom(value) }
    return device
  }

  func model(_ value: YAMLValue, on bus: Topology.BusKind) throws(TopologyError) -> String {
    let name = try value.text()
    let known = models.models(on: bus)
    guard known.contains(name) else {
      for other in Topology.BusKind.allCases where models.models(on: other).contains(name) {
        throw value.error(
          "\(quoted(name)) is a device model of bus \(other.rawValue), not of \(bus.rawValue)",
          "move the device there, or write \(listed(known.sorted(), "or"))")
      }
      throw value.unknownName(name, "a device model", known: known.sorted())
    }
    return name
  }

  func group(_ value: YAMLValue?) throws(TopologyError) -> UInt32? {
    try value?.value("a group number", groupNumber)
  }

  /// A device without an IOMMU shares its group with no other.
  private mutating func join(
    _ group: UInt32, at value: YAMLValue, hasIOMMU: Bool
  ) throws(TopologyError) {
    if let other = linesOfGroups[group], !hasIOMMU || !other.hasIOMMU {
      throw value.error(
        "the device in line \(other.line) is in group \(group) too, and one of the two has no IOMMU",
        "give each a group of its own")
    }
    linesOfGroups[group] = (value.line ?? 0, hasIOMMU)
  }

  func driver(_ value: YAMLValue) throws(TopologyError) -> Topology.Driver {
    try value.value("a driver's name", Topology.Driver.init(name:))
  }

  private mutating func address(
    _ value: YAMLValue, on bus: PCIBusAddress
  ) throws(TopologyError) -> PCIAddress {
    let address = try value.value("a PCI address", PCIAddress.init)
    guard address.busAddress == bus else {
      throw value.error(
        "\(address) is on bus \(address.busAddress), but it stands under bus \(bus)",
        "write an address that starts with \(bus), or move it to its bus")
    }
    if let line = linesOfAddresses[address] {
      throw value.error("\(address) is in line \(line) already", "write another address")
    }
    linesOfAddresses[address] = value.line ?? 0
    return address
  }

  private mutating func secondary(
    _ value: YAMLValue, of bridge: PCIAddress
  ) throws(TopologyError) -> UInt8 {
    let number = try value.value("a bus number", hexByte)
    let bus = PCIBusAddress(domain: bridge.domain, bus: number)
    guard number > bridge.bus else {
      throw value.error(
        "bus \(bus) cannot be behind a bridge on bus \(bridge.busAddress)",
        "write a greater number")
    }
    try claim(bus, at: value)
    return number
  }

  private mutating func claim(_ bus: PCIBusAddress, at value: YAMLValue) throws(TopologyError) {
    if let line = linesOfBuses[bus] {
      throw value.error("bus \(bus) is in line \(line) already", "write another bus number")
    }
    linesOfBuses[bus] = value.line ?? 0
  }
}

/// Two hexadecimal digits. One would leave open whether 10 is ten or sixteen.
private func hexByte(_ text: String) -> UInt8? {
  hexDigits(text, 2).map(UInt8.init(truncatingIfNeeded:))
}

private func hexDigits(_ text: some StringProtocol, _ count: Int) -> UInt16? {
  guard text.utf8.count == count, text.allSatisfy(\.isHexDigit) else { return nil }
  return UInt16(text, radix: 16)
}

/// A decimal number without a sign or leading zeros, which YAML reads as octal.
func groupNumber(_ text: String) -> UInt32? {
  guard let number = UInt32(text), String(number) == text else { return nil }
  return number
}

extension Topology.Bridge.Identity {
  /// Reads `vvvv:dddd` as lspci prints it.
  fileprivate init?(vendorAndDevice text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard
      parts.count == 2, let vendor = hexDigits(parts[0], 4), let device = hexDigits(parts[1], 4)
    else { return nil }
    self.init(vendorID: vendor, deviceID: device)
  }
}

extension Topology.Driver {
  /// The name becomes a directory in sysfs.
  fileprivate init?(name: String) {
    let isName =
      name.utf8.count <= 64 && !name.isEmpty
      && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
    guard isName else { return nil }
    switch name {
    case "vfio": self = .vfio
    case "none": self = .none
    default: self = .host(name)
    }
  }
}
