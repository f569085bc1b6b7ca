import DeviceKit
import VFIOCore

/// The machine behind the tree: the buses, the groups, and where in `/sys/devices` everything stands.
final class SysfsMachine: Sendable {
  let bus: PCIBus
  let platform: PlatformBus
  let vfio: VFIO
  let options: SysfsOptions
  let drivers: DriverCore<PCIBus>
  let platformDrivers: DriverCore<PlatformBus>
  let vfioDevices: VFIODevices
  let moduleSwitches = ModuleSwitches()

  init(bus: PCIBus, platform: PlatformBus, vfio: VFIO, options: SysfsOptions) {
    self.bus = bus
    self.platform = platform
    self.vfio = vfio
    self.options = options
    vfioDevices = VFIODevices(bus, options.dialect)
    drivers = DriverCore(
      bus: bus, vfioName: options.dialect.vfioDriver, hostDrivers: options.hostDrivers)
    platformDrivers = DriverCore(
      bus: platform, vfioName: options.dialect.vfioPlatformDriver, hostDrivers: [])
  }

  /// What is at an address.
  enum Slot {
    case bridge(PCIBridge)
    case function(PCIBus.FunctionStatus)
  }

  func slot(at address: PCIAddress) -> Slot? {
    if let bridge = bus.bridge(at: address) { return .bridge(bridge) }
    return bus.function(at: address).map(Slot.function)
  }

  /// What the kernel calls `name`, spelt exactly so.
  func slot(named name: String) -> (address: PCIAddress, slot: Slot)? {
    guard let address = PCIAddress(name), address.description == name else { return nil }
    return slot(at: address).map { (address, $0) }
  }

  /// The buses that no bridge leads to, in order.
  var rootBuses: [PCIBusAddress] {
    Set(bus.addresses.map(\.busAddress)).filter { bus.bridge(to: $0) == nil }.sorted()
  }

  func isRootBus(_ number: PCIBusAddress) -> Bool {
    bus.bridge(to: number) == nil && bus.hasSlots(on: number)
  }

  /// The highest bus number behind a bridge.
  func subordinate(of bridge: PCIBridge) -> UInt8 {
    let below = bus.addresses(on: bridge.secondaryBus).compactMap(bus.bridge(at:))
    return below.map(subordinate).reduce(bridge.secondary, max)
  }

  /// The place in `/sys`: `devices`, `pci0000:00`, `0000:00:1e.0`, `0000:06:0d.0`.
  func path(of address: PCIAddress) -> [String] {
    var path = [address.description]
    var number = address.busAddress
    while let bridge = bus.bridge(to: number) {
      path.append(bridge.address.description)
      number = bridge.address.busAddress
    }
    return ["devices", "pci\(number)"] + path.reversed()
  }

  /// Where a device of any bus stands; nil where there is no such device now.
  func path(of device: VFIOCore.Device) -> [String]? {
    switch device.group.bus {
    case PCIBus.name:
      guard case (let address, .function(let function))? = slot(named: device.name),
        function.group == device.group
      else { return nil }
      return path(of: address)
    case PlatformBus.name:
      return platform.device(named: device.name)?.group == device.group
        ? Self.path(ofPlatformDevice: device.name) : nil
    default:
      return self.device(device.name, on: device.group.bus) == device
        ? path(ofDevice: device.name, on: device.group.bus) : nil
    }
  }

  func path(of group: GroupID) -> [String] {
    ["devices", "virtual", "vfio", nodeName(of: group) ?? "\(group)"]
  }
}

/// The symlink in the directory `directory` that leads to `target`, both below `/sys`, as
/// `sysfs_get_target_path` of fs/sysfs/symlink.c makes it.
func symlink(from directory: [String], to target: [String]) -> SysfsNode {
  let common = zip(directory, target.dropLast()).prefix { $0 == $1 }.count
  let up = Array(repeating: "..", count: directory.count - common)
  return .symlink((up + target[common...]).joined(separator: "/"))
}

extension SysfsDirectory {
  /// A directory whose entries are always the same, but for one that is nil.
  init<Name: RawRepresentable<String> & CaseIterable & Sendable>(
    _: Name.Type, isShared: Bool = false, entry: @escaping @Sendable (Name) -> SysfsNode?
  ) {
    self.init(
      isShared: isShared, names: { Name.allCases.filter { entry($0) != nil }.map(\.rawValue) },
      child: { Name(rawValue: $0).flatMap(entry) })
  }
}

/// Text of a file, with its newline.
func line(_ text: String) -> [UInt8] {
  Array(text.utf8) + [UInt8(ascii: "\n")]
}

func hex(_ value: some BinaryInteger, _ digits: Int, uppercase: Bool = false) -> String {
  let text = String(value, radix: 16, uppercase: uppercase)
  return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
