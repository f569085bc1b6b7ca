/// The command register of a PCI function (PCI Local Bus 3.0, 6.2.2).
struct PCICommand: OptionSet, Hashable, Sendable {
  let rawValue: UInt16

  /// Where it is in configuration space.
  static let offset = 0x04

  static let ioSpace = PCICommand(rawValue: 1 << 0)
  static let memorySpace = PCICommand(rawValue: 1 << 1)
  static let busMaster = PCICommand(rawValue: 1 << 2)
  static let serr = PCICommand(rawValue: 1 << 8)
  static let intxDisable = PCICommand(rawValue: 1 << 10)

  /// What software can change.
  static let writable: PCICommand = [.ioSpace, .memorySpace, .busMaster, .serr, .intxDisable]
  /// What a client finds when it opens the device: decoding on, bus master off.
  static let atOpen: PCICommand = [.ioSpace, .memorySpace, .serr]
}
