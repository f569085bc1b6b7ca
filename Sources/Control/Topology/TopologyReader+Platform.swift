extension TopologyReader {
  /// What kind of bus an entry of `buses` is.
  func kind(of value: YAMLValue) throws(TopologyError) -> Topology.BusKind {
    // Without the field, the entry is told what a PCI bus has.
    guard let bus = value.peek(RootBusField.bus) else {
      _ = try value.fields(RootBusField.self).required(.bus)
      return .pci
    }
    return try bus.choice("a kind of bus", of: Topology.BusKind.self)
  }

  mutating func platformBus(
    _ value: YAMLValue
  ) throws(TopologyError) -> Topology.PlatformBus {
    let fields = try value.fields(PlatformBusField.self)
    if let line = lineOfPlatformBus {
      throw value.error(
        "the platform bus is in line \(line) already", "put these devices there")
    }
    lineOfPlatformBus = value.line ?? 0
    var bus = Topology.PlatformBus()
    if let value = fields[.cacheCoherent] {
      bus.isCacheCoherent = try value.value("true or false", Bool.init)
    }
    for item in try fields[.devices]?.items("a platform device") ?? [] {
      bus.devices.append(try platformDevice(item))
    }
    return bus
  }

  private mutating func platformDevice(
    _ value: YAMLValue
  ) throws(TopologyError) -> Topology.PlatformDevice {
    let fields = try value.fields(PlatformDeviceField.self)
    let name = try fields.required(.name)
    let text = try name.value("a platform device's name", deviceName)
    if let line = linesOfNames[text] {
      throw name.error("\(quoted(text)) is in line \(line) already", "write another name")
    }
    linesOfNames[text] = name.line ?? 0
    var device = Topology.PlatformDevice(
      name: text, model: try model(fields.required(.model), on: .platform))
    device.group = try group(fields[.group])
    if let value = fields[.driver] { device.driver = try driver(value) }
    return device
  }
}

/// A name that may be a directory's.
private func deviceName(_ text: String) -> String? {
  let isName =
    (1...64).contains(text.utf8.count) && text.allSatisfy(isNameLetter) && text != "."
    && text != ".."
  return isName ? text : nil
}
