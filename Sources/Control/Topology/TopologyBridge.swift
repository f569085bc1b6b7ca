public import DeviceKit

extension Topology {
  /// A bridge to another bus. A client cannot use it: it is in no group.
  public struct Bridge: Hashable, Sendable {
    public var address: PCIAddress
    public var kind: Kind
    /// What its configuration header says it is.
    public var identity: Identity
    /// The number of the bus behind it.
    public var secondary: UInt8
    public var slots: [Slot]

    /// - Parameter identity: nil for the identity that is usual for `kind`.
    public init(
      address: PCIAddress, kind: Kind, identity: Identity? = nil, secondary: UInt8,
      slots: [Slot] = []
    ) {
      self.address = address
      self.kind = kind
      self.identity = identity ?? kind.usualIdentity
      self.secondary = secondary
      self.slots = slots
    }

    public var secondaryBus: PCIBusAddress {
      PCIBusAddress(domain: address.domain, bus: secondary)
    }
  }
}

extension Topology.Bridge {
  /// The kinds of bridges that differ in what the IOMMU can tell apart behind them.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// A conventional PCI-to-PCI bridge. What is behind it does DMA under the bridge's own address.
    case pci
    /// A PCI Express to PCI bridge. What is behind it does DMA under device 0, function 0 of the
    /// secondary bus.
    case pcieToPCI = "pcie-to-pci"
    /// A PCI Express root port, with access control services.
    case rootPort = "root-port"
    /// The port of a PCI Express switch that faces the root.
    case switchUpstream = "switch-upstream"
    /// A port of a PCI Express switch that faces away from the root, with access control services.
    case switchDownstream = "switch-downstream"

    /// Whether the IOMMU still sees who behind the bridge does DMA.
    public var isolates: Bool {
      switch self {
      case .pci, .pcieToPCI: false
      case .rootPort, .switchUpstream, .switchDownstream: true
      }
    }

    /// A bridge of this kind that exists: Intel 82801 PCI Bridge, QEMU PCIe-PCI bridge, QEMU PCIe
    /// root port, and the two ports of a Texas Instruments XIO3130.
    public var usualIdentity: Topology.Bridge.Identity {
      switch self {
      case .pci: .init(vendorID: 0x8086, deviceID: 0x244e, revision: 0x90)
      case .pcieToPCI: .init(vendorID: 0x1b36, deviceID: 0x000e)
      case .rootPort: .init(vendorID: 0x1b36, deviceID: 0x000c)
      case .switchUpstream: .init(vendorID: 0x104c, deviceID: 0x8232, revision: 0x02)
      case .switchDownstream: .init(vendorID: 0x104c, deviceID: 0x8233, revision: 0x01)
      }
    }
  }

  public struct Identity: Hashable, Sendable {
    public var vendorID: UInt16
    public var deviceID: UInt16
    public var revision: UInt8

    public init(vendorID: UInt16, deviceID: UInt16, revision: UInt8 = 0) {
      self.vendorID = vendorID
      self.deviceID = deviceID
      self.revision = revision
    }
  }
}

extension Topology {
  /// All bridges, each before what is behind it.
  public var bridges: [Bridge] {
    func bridges(_ slots: [Slot]) -> [Bridge] {
      slots.flatMap { slot -> [Bridge] in
        guard case .bridge(let bridge) = slot else { return [] }
        return [bridge] + bridges(bridge.slots)
      }
    }
    return buses.flatMap { bridges($0.slots) }
  }
}
