import DeviceKit
import Devices
import Logging
import SystemPackage
import TestSupport
import Testing
import VFIOCore

/// A machine with a PCI bus, and clients that use it.
struct Machine {
  let vfio: VFIO
  let bus: PCIBus
  let scheduler = ManualScheduler()

  /// The document's example: two functions in group 240; and one more each in 241 and 242.
  init(populated: Bool = true, merging: Merging = Merging()) throws {
    let logger = Logger.silent
    vfio = VFIO(logger: logger, merging: merging)
    bus = PCIBus(vfio: vfio, scheduler: scheduler, logger: logger)
    guard populated else { return }
    try add("0000:06:0d.0", group: 240)
    try add("0000:06:0d.1", group: 240)
    try add("0000:07:00.0", group: 241)
    try add("0000:08:00.0", group: 242)
  }

  func add(
    _ address: String, group: UInt32, hasIOMMU: Bool = true, driver: PCIBus.Driver = .vfio,
    kind: PCIFunctionKind = Edu.kind
  ) throws {
    let address = try #require(PCIAddress(address))
    try bus.add(address: address, kind: kind, group: group, hasIOMMU: hasIOMMU, driver: driver)
  }

  func status(_ number: UInt32) -> GroupStatus? {
    vfio.groups.first { $0.id == GroupID(bus: "pci", number: number) }
  }
}

extension Logger {
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
