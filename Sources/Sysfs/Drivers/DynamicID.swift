import DeviceKit
import SystemPackage

/// An ID that was given to a driver through `new_id`: the kernel's `struct pci_device_id`.
struct DynamicID: Hashable, Sendable {
  static let any = UInt32.max

  var vendor: UInt32
  var device: UInt32
  var subsystemVendor = DynamicID.any
  var subsystem = DynamicID.any
  var classCode: UInt32 = 0
  var classMask: UInt32 = 0

  /// Reads hexadecimal numbers, with `0x` or without: vendor and device, then, where given, subsystem vendor
  /// and device, class and its mask. What follows is of no interest, as to `sscanf`.
  ///
  /// - Throws: `EINVAL` without a vendor and a device.
  init(_ text: [UInt8]) throws(Errno) {
    var numbers = HexNumbers(text)
    guard let vendor = numbers.next(), let device = numbers.next() else { throw .invalidArgument }
    (self.vendor, self.device) = (vendor, device)
    if let number = numbers.next() { subsystemVendor = number }
    if let number = numbers.next() { subsystem = number }
    if let number = numbers.next() { classCode = number }
    if let number = numbers.next() { classMask = number }
  }

  /// Whether a driver with this ID takes the function (`pci_match_one_device` of drivers/pci/pci.h).
  func matches(_ description: PCIFunctionDescription) -> Bool {
    takes(vendor, UInt32(description.vendorID)) && takes(device, UInt32(description.deviceID))
      && takes(subsystemVendor, UInt32(description.subsystemVendorID))
      && takes(subsystem, UInt32(description.subsystemID))
      && (classCode ^ description.classCode) & classMask == 0
  }

  /// Whether `other` brings nothing new, as `new_id` finds out: with a device that is made up of it.
  func covers(_ other: DynamicID) -> Bool {
    takes(vendor, other.vendor) && takes(device, other.device)
      && takes(subsystemVendor, other.subsystemVendor) && takes(subsystem, other.subsystem)
      && (classCode ^ other.classCode) & classMask == 0
  }

  /// Whether `pattern`, written to `remove_id`, means this one.
  func isMeant(by pattern: DynamicID) -> Bool {
    vendor == pattern.vendor && device == pattern.device
      && (pattern.subsystemVendor == Self.any || subsystemVendor == pattern.subsystemVendor)
      && (pattern.subsystem == Self.any || subsystem == pattern.subsystem)
      && (classCode ^ pattern.classCode) & pattern.classMask == 0
  }

  private func takes(_ mine: UInt32, _ its: UInt32) -> Bool {
    mine == Self.any || mine == its
  }
}

/// Takes numbers off the front of a text as `sscanf` with `%x` does: white space, then digits, of which the last
/// eight count.
private struct HexNumbers {
  private var rest: ArraySlice<UInt8>

  init(_ text: [UInt8]) {
    rest = text[...]
  }

  /// - Returns: nil where no number comes next, and for good then.
  mutating func next() -> UInt32? {
    rest = rest.drop { $0 == 0x20 || (0x09...0x0d).contains($0) }
    if rest.starts(with: Array("0x".utf8)) || rest.starts(with: Array("0X".utf8)) {
      rest = rest.dropFirst(2)
    }
    let digits = rest.prefix { Self.value($0) != nil }
    guard !digits.isEmpty else {
      rest = []
      return nil
    }
    rest = rest.dropFirst(digits.count)
    return digits.reduce(0) { $0 << 4 | (Self.value($1) ?? 0) }
  }

  private static func value(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
