import DeviceKit

extension Topology {
  /// The machine of the VFIO document of 2011, which a daemon without a topology file shows: two
  /// functions behind an Intel 82801 PCI bridge, both in group 240 and bound to vfio.
  public static let `default`: Topology = {
    let bridged: [Slot] = [0, 1].compactMap { function in
      PCIAddress(bus: 0x06, device: 0x0d, function: function)
        .map { .device(Device(address: $0, model: "edu", group: 240)) }
    }
    let bridge = PCIAddress(bus: 0x00, device: 0x1e, function: 0)
      .map { Slot.bridge(Bridge(address: $0, kind: .pci, secondary: 0x06, slots: bridged)) }
    return Topology(
      buses: [RootBus(address: PCIBusAddress(bus: 0x00), slots: [bridge].compactMap(\.self))])
  }()
}
