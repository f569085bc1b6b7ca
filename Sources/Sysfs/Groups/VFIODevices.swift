import DeviceKit
import Synchronization
import SystemPackage
import VFIOCore

/// The numbers of the devices that vfio-pci has: `vfio0` and so on, each the lowest that was free when it got the
/// device (`vfio_init_device` of drivers/vfio/vfio_main.c, Linux 6.1).
final class VFIODevices: Sendable {
  private let bus: PCIBus
  private let isThere: Bool
  private struct Numbers {
    var numbers: [PCIAddress: Int] = [:]
    var addresses: [Int: PCIAddress] = [:]
  }

  private let known = Mutex(Numbers())

  /// - Parameter dialect: the document's VFIO has no such devices.
  init(_ bus: PCIBus, _ dialect: SysfsDialect) {
    self.bus = bus
    isThere = dialect == .mainline
  }

  /// The devices by number, in order.
  var all: [(number: Int, address: PCIAddress)] {
    guard isThere else { return [] }
    let bound = bus.functions.filter { $0.driver == .vfio }.map(\.address)
    return known.withLock { known in
      let isBound = Set(bound)
      known.addresses = known.addresses.filter { isBound.contains($0.value) }
      known.numbers = known.numbers.filter { isBound.contains($0.key) }
      var lowest = 0
      for address in bound where known.numbers[address] == nil {
        while known.addresses[lowest] != nil { lowest += 1 }
        known.numbers[address] = lowest
        known.addresses[lowest] = address
      }
      return known.addresses.map { ($0.key, $0.value) }.sorted { $0.number < $1.number }
    }
  }

  func number(of address: PCIAddress) -> Int? {
    guard isThere, isBound(address) else { return nil }
    return known.withLock { $0.numbers[address] } ?? all.first { $0.address == address }?.number
  }

  func address(named name: String) -> PCIAddress? {
    guard isThere, name.hasPrefix("vfio"), let number = Int(name.dropFirst(4)),
      "vfio\(number)" == name
    else { return nil }
    if let address = known.withLock({ $0.addresses[number] }), isBound(address) { return address }
    return all.first { $0.number == number }?.address
  }

  private func isBound(_ address: PCIAddress) -> Bool {
    bus.function(at: address)?.driver == .vfio
  }
}

extension SysfsDirectory {
  private enum VFIODeviceName: String, CaseIterable, Sendable {
    case device, subsystem, uevent
  }

  /// `/sys/class/vfio-dev`
  static func vfioDeviceClass(_ machine: SysfsMachine) -> SysfsDirectory {
    SysfsDirectory(
      isShared: true, names: { machine.vfioDevices.all.map { "vfio\($0.number)" } },
      child: { name in
        machine.vfioDevices.address(named: name).map {
          symlink(
            from: ["class", "vfio-dev"], to: machine.path(of: $0) + ["vfio-dev", name])
        }
      })
  }

  /// A device's `vfio-dev`.
  static func vfioDevice(
    number: Int, _ address: PCIAddress, _ machine: SysfsMachine
  ) -> SysfsDirectory {
    let (name, parent) = ("vfio\(number)", machine.path(of: address))
    let place = parent + ["vfio-dev", name]
    let directory = SysfsDirectory(VFIODeviceName.self) { file in
      switch file {
      case .device: symlink(from: place, to: parent)
      case .subsystem: symlink(from: place, to: ["class", "vfio-dev"])
      // It has no character device, and nothing else to say.
      case .uevent:
        .file(
          SysfsFile(
            0o644, read: { () throws(Errno) in [] },
            write: { text throws(Errno) in try takeUEvent(text) }))
      }
    }
    return SysfsDirectory(names: { [name] }, child: { $0 == name ? .directory(directory) : nil })
  }
}
