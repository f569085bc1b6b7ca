import DeviceKit

extension Topology {
  /// The devices in the order of their addresses, each with its group.
  ///
  /// A device's own `group` stands. The others are grouped by the address under which the IOMMU sees
  /// their DMA: devices that share it cannot be told apart. These groups are numbered from 0 in the
  /// order of their first devices, past the numbers that some device names itself. What one function
  /// names says nothing of its siblings. A device without an IOMMU is alone.
  ///
  /// - Parameter taken: numbers of groups that are there besides; a device joins one only by naming it.
  public func resolvedDevices(besides taken: Set<UInt32> = []) -> [ResolvedDevice] {
    let placed = placedDevices().sorted { $0.device.address < $1.device.address }
    var numbers = GroupNumbers(taken: taken.union(placed.compactMap(\.device.group)))
    return placed.map { place in
      var resolved = ResolvedDevice(
        address: place.device.address, model: place.device.model,
        group: place.device.group
          ?? (place.device.hasIOMMU
            ? numbers.number(for: place.requester(in: iommu)) : numbers.new()),
        driver: place.device.driver, rootBus: place.rootBus.address,
        isCacheCoherent: place.rootBus.isCacheCoherent,
        bridges: place.bridges.map(\.address))
      resolved.hasIOMMU = place.device.hasIOMMU
      resolved.parameters = place.device.parameters
      resolved.reset = place.device.reset
      resolved.rom = place.device.rom
      return resolved
    }
  }

  private func placedDevices() -> [PlacedDevice] {
    var found: [PlacedDevice] = []
    func visit(_ slots: [Slot], _ rootBus: RootBus, _ bridges: [Bridge]) {
      for slot in slots {
        switch slot {
        case .bridge(let bridge):
          visit(bridge.slots, rootBus, bridges + [bridge])
        case .device(let device):
          found.append(PlacedDevice(device: device, rootBus: rootBus, bridges: bridges))
        }
      }
    }
    for bus in buses {
      visit(bus.slots, bus, [])
    }
    return found
  }
}

private struct PlacedDevice {
  var device: Topology.Device
  var rootBus: Topology.RootBus
  var bridges: [Topology.Bridge]

  /// The address under which the IOMMU sees the device's DMA.
  ///
  /// As Linux 3.3 has it (`intel_iommu_device_group`): the topmost bridge that hides its devices
  /// answers for them, a conventional one with its own address and a PCI Express one with function
  /// 00.0 of its secondary bus.
  func requester(in iommu: Topology.IOMMU) -> PCIAddress {
    let seen: PCIAddress? =
      if let top = bridges.first(where: { !$0.kind.isolates }) {
        top.kind == .pci
          ? top.address
          : PCIAddress(
            domain: top.address.domain, bus: top.secondary, device: 0, function: 0)
      } else {
        device.address
      }
    let requester = seen ?? device.address
    guard iommu.groupsMultiFunction else { return requester }
    return PCIAddress(
      domain: requester.domain, bus: requester.bus, device: requester.device, function: 0)
      ?? requester
  }
}

/// Gives numbers to groups that have none.
private struct GroupNumbers {
  let taken: Set<UInt32>
  private var next: UInt32 = 0
  private var numbers: [PCIAddress: UInt32] = [:]

  init(taken: Set<UInt32>) {
    self.taken = taken
  }

  mutating func number(for requester: PCIAddress) -> UInt32 {
    if let number = numbers[requester] { return number }
    let number = new()
    numbers[requester] = number
    return number
  }

  mutating func new() -> UInt32 {
    while taken.contains(next) { next += 1 }
    defer { next += 1 }
    return next
  }
}
