/// The name of a group: the bus and the number that the IOMMU gave it. Its node is named alike.
public struct GroupID: Hashable, Sendable, LosslessStringConvertible {
  /// `pci`.
  public var bus: String
  public var number: UInt32

  public init(bus: String, number: UInt32) {
    self.bus = bus
    self.number = number
  }

  /// Reads `pci:240`, spelt exactly as `description` spells it.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let number = UInt32(text[colon...].dropFirst())
    else { return nil }
    self.init(bus: String(text[..<colon]), number: number)
    if description != text { return nil }
  }

  /// Buses are few, numbers many, and strings slow to hash.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(number)
  }

  /// `pci:240`.
  public var description: String { "\(bus):\(number)" }

  /// The name of the node of a group without an IOMMU: `noiommu-240`.
  public var noIOMMUName: String { "noiommu-\(number)" }
}

/// A device as the core knows it, the kernel's `struct device`.
public struct Device: Hashable, Sendable, CustomStringConvertible {
  /// Unique on its bus: `0000:06:0d.0`.
  public var name: String
  public var group: GroupID

  public init(name: String, group: GroupID) {
    self.name = name
    self.group = group
  }

  public var description: String { name }
}
