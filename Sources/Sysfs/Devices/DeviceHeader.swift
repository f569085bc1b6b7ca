import DeviceKit
import VFIOCore

/// What the header of a function or a bridge says it is.
struct DeviceHeader: Sendable {
  let address: PCIAddress
  let vendorID: UInt16
  let deviceID: UInt16
  let revision: UInt8
  let classCode: UInt32
  let subsystemVendorID: UInt16
  let subsystemID: UInt16

  init(_ function: PCIBus.FunctionStatus) {
    address = function.address
    vendorID = function.description.vendorID
    deviceID = function.description.deviceID
    revision = function.description.revision
    classCode = function.description.classCode
    subsystemVendorID = function.description.subsystemVendorID
    subsystemID = function.description.subsystemID
  }

  init(_ bridge: PCIBridge) {
    address = bridge.address
    vendorID = bridge.vendorID
    deviceID = bridge.deviceID
    revision = bridge.revision
    classCode = PCIBridge.classCode
    subsystemVendorID = 0
    subsystemID = 0
  }

  /// As `modalias_show` prints it.
  var modalias: String {
    func part(_ shift: UInt32) -> String {
      hex(UInt8(truncatingIfNeeded: classCode >> shift), 2, uppercase: true)
    }
    func number(_ id: UInt16) -> String { hex(id, 8, uppercase: true) }
    return "pci:v\(number(vendorID))d\(number(deviceID))"
      + "sv\(number(subsystemVendorID))sd\(number(subsystemID))"
      + "bc\(part(16))sc\(part(8))i\(part(0))"
  }

  /// As `pci_uevent` makes it, a line for each variable.
  func uevent(driver: String?) -> String {
    func id(_ vendor: UInt16, _ device: UInt16) -> String {
      "\(hex(vendor, 4, uppercase: true)):\(hex(device, 4, uppercase: true))"
    }
    return (driver.map { "DRIVER=\($0)\n" } ?? "") + """
      PCI_CLASS=\(hex(classCode, 4, uppercase: true))
      PCI_ID=\(id(vendorID, deviceID))
      PCI_SUBSYS_ID=\(id(subsystemVendorID, subsystemID))
      PCI_SLOT_NAME=\(address)
      MODALIAS=\(modalias)

      """
  }
}

/// A line of a `resource` file: start, end and flags (`resource_show`).
enum ResourceLine {
  static let none = text(0, 0, 0)

  /// - Parameter address: nil for a BAR that no room was left for.
  static func text(_ bar: PCIFunctionDescription.BAR, at address: UInt64?) -> String {
    // include/linux/ioport.h; the low four bits are the BAR's own.
    let (io, memory, prefetch): (UInt64, UInt64, UInt64) = (0x100, 0x200, 0x2000)
    let (sizeAlign, memory64, unset): (UInt64, UInt64, UInt64) = (0x40000, 0x10_0000, 0x2000_0000)
    var flags =
      switch bar.space {
      case .io: io | 0x1
      case .memory32: memory
      case .memory64: memory | memory64 | 0x4
      }
    if bar.isPrefetchable { flags |= prefetch | 0x8 }
    flags |= sizeAlign
    guard let address else { return text(0, bar.size - 1, flags | unset) }
    return text(address, address + bar.size - 1, flags)
  }

  /// A window of a bridge (`pci_read_bridge_bases` of drivers/pci/probe.c).
  static func window(
    _ window: ClosedRange<UInt64>?, _ space: PCIFunctionDescription.BAR.Space
  ) -> String {
    guard let window else { return none }
    let flags: UInt64 =
      switch space {
      case .io: 0x101
      case .memory32: 0x200
      case .memory64: 0x10_2201
      }
    return text(window.lowerBound, window.upperBound, flags)
  }

  /// The expansion ROM: read-only prefetchable memory.
  static func rom(_ size: UInt64, at address: UInt64?) -> String {
    guard let address else { return text(0, size - 1, 0x2004_6200) }
    return text(address, address + size - 1, 0x46200)
  }

  private static func text(_ start: UInt64, _ end: UInt64, _ flags: UInt64) -> String {
    "0x\(hex(start, 16)) 0x\(hex(end, 16)) 0x\(hex(flags, 16))\n"
  }
}

/// The processors from 0 on, as sysfs prints sets of them.
enum ProcessorSet {
  /// `3`; `ff,ffffffff`: 32 bits between commas.
  static func mask(_ count: Int) -> String {
    let words = max(1, (count + 31) / 32)
    let last = count - 32 * (words - 1)
    let first = hex(last <= 0 ? 0 : (UInt64(1) << UInt64(last)) - 1, 1)
    return ([first] + Array(repeating: "ffffffff", count: words - 1)).joined(separator: ",")
  }

  /// `0`; `0-1`.
  static func list(_ count: Int) -> String {
    switch count {
    case ...0: ""
    case 1: "0"
    default: "0-\(count - 1)"
    }
  }
}
