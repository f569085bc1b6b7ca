import DeviceKit
import VFIOCore

/// The machine behind the tree: the bus, the groups, and where in `/sys/devices` everything stands.
final class SysfsMachine: Sendable {
  let bus: PCIBus
  let vfio: VFIO
  let options: SysfsOptions
  let drivers: DriverCore
  private let bridges: [PCIAddress: PCIBridge]
  /// By the bus behind them.
  private let upstream: [PCIBusAddress: PCIBridge]

  init(bus: PCIBus, vfio: VFIO, options: SysfsOptions) {
    self.bus = bus
    self.vfio = vfio
    self.options = options
    bridges = Dictionary(options.bridges.map { ($0.address, $0) }) { first, _ in first }
    upstream = Dictionary(options.bridges.map { ($0.secondaryBus, $0) }) { first, _ in first }
    drivers = DriverCore(
      bus: bus, vfioName: options.dialect.vfioDriver, hostDrivers: options.hostDrivers,
      bridges: Set(bridges.keys))
  }

  /// What is at an address.
  enum Slot {
    case bridge(PCIBridge)
    case function(PCIBus.FunctionStatus)
  }

  func slot(at address: PCIAddress) -> Slot? {
    if let bridge = bridges[address] { return .bridge(bridge) }
    return bus.function(at: address).map(Slot.function)
  }

  /// What the kernel calls `name`, spelt exactly so.
  func slot(named name: String) -> (address: PCIAddress, slot: Slot)? {
    guard let address = PCIAddress(name), address.description == name else { return nil }
    return slot(at: address).map { (address, $0) }
  }

  /// All bridges and functions, in order.
  var addresses: [PCIAddress] {
    Set(bridges.keys).union(bus.addresses).sorted()
  }

  func addresses(on bus: PCIBusAddress) -> [PCIAddress] {
    (bridges.keys.filter { $0.busAddress == bus } + self.bus.addresses(on: bus)).sorted()
  }

  /// The bridge that leads to `bus`. Numbers fall on the way to the root, or it is none.
  func bridge(to bus: PCIBusAddress) -> PCIBridge? {
    upstream[bus].flatMap { $0.address.bus < bus.bus ? $0 : nil }
  }

  /// The buses that no bridge leads to, in order.
  var rootBuses: [PCIBusAddress] {
    Set(addresses.map(\.busAddress)).filter { bridge(to: $0) == nil }.sorted()
  }

  func isRootBus(_ bus: PCIBusAddress) -> Bool {
    bridge(to: bus) == nil && !addresses(on: bus).isEmpty
  }

  /// The highest bus number behind a bridge.
  func subordinate(of bridge: PCIBridge) -> UInt8 {
    let below = addresses(on: bridge.secondaryBus).compactMap { bridges[$0] }
      .filter { self.bridge(to: $0.secondaryBus) == $0 }
    return below.map(subordinate).reduce(bridge.secondary, max)
  }

  /// The place in `/sys`: `devices`, `pci0000:00`, `0000:00:1e.0`, `0000:06:0d.0`.
  func path(of address: PCIAddress) -> [String] {
    var path = [address.description]
    var bus = address.busAddress
    while let bridge = bridge(to: bus) {
      path.append(bridge.address.description)
      bus = bridge.address.busAddress
    }
    return ["devices", "pci\(bus)"] + path.reversed()
  }

  func path(of group: GroupID) -> [String] {
    ["devices", "virtual", "vfio", options.dialect.name(of: group)]
  }
}

/// The symlink in the directory `directory` that leads to `target`, both below `/sys`, as
/// `sysfs_get_target_path` of fs/sysfs/symlink.c makes it.
func symlink(from directory: [String], to target: [String]) -> SysfsNode {
  let common = zip(directory, target).prefix { $0 == $1 }.count
  let up = Array(repeating: "..", count: directory.count - common)
  return .symlink((up + target[common...]).joined(separator: "/"))
}

extension SysfsDirectory {
  /// A directory whose entries are always the same, but for one that is nil.
  init<Name: RawRepresentable<String> & CaseIterable & Sendable>(
    _: Name.Type, entry: @escaping @Sendable (Name) -> SysfsNode?
  ) {
    self.init(
      names: { Name.allCases.filter { entry($0) != nil }.map(\.rawValue) },
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
