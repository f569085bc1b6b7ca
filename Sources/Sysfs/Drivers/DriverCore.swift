import Synchronization
import SystemPackage
import VFIOCore

/// The kernel's driver core as far as sysfs steers it: which driver takes which device, and the writes that
/// bind and unbind (drivers/base/bus.c). One for each bus.
///
/// A driver takes a device that it was given an ID of, and one that was plugged in for it: in place
/// of the table of IDs that a real driver is compiled with. `driver_override` comes before both.
///
/// Errnos are those of Linux 6, for both dialects. In 2011 a second `new_id` of the same was taken, and
/// `bind` of a bound device gave `ENODEV` instead of `EBUSY`; a script that worked with one works with the
/// other, for in both the device ends up bound.
final class DriverCore<Bus: DriverBus>: Sendable {
  typealias Device = Bus.Device
  typealias Address = Bus.Device.Address

  struct State {
    var ids: [BusDriver: [DynamicID]] = [:]
    /// Whether a driver is looked for when a device is found.
    var probesByItself = true
    /// Devices whose ROM can be read.
    var shownROMs: Set<Address> = []
    /// How often a device was enabled by hand; none for 0.
    var enables: [Address: Int] = [:]
  }

  let bus: Bus
  private let vfioName: String
  private let hostDrivers: Set<String>
  let state = Mutex(State())

  init(bus: Bus, vfioName: String, hostDrivers: [String]) {
    self.bus = bus
    self.vfioName = vfioName
    self.hostDrivers = Set(hostDrivers)
  }

  // MARK: - Drivers and their names

  /// The names of all drivers, in order.
  var names: [String] {
    hostDrivers.union(bus.hostDrivers).union([vfioName]).sorted()
  }

  func name(of driver: BusDriver) -> String? {
    switch driver {
    case .none: nil
    case .vfio: vfioName
    case .host(let name): name
    }
  }

  /// - Returns: nil when there is no such driver.
  func driver(named name: String) -> BusDriver? {
    if name == vfioName { return .vfio }
    return hostDrivers.contains(name) || bus.hostDrivers.contains(name) ? .host(name) : nil
  }

  func takes(_ driver: BusDriver, _ device: Device) -> Bool {
    if let name = device.driverOverride { return name == self.name(of: driver) }
    if device.initialDriver == driver { return true }
    return state.withLock { state in
      state.ids[driver]?.contains { device.matches($0) } ?? false
    }
  }

  /// The device that the kernel calls by `text`, a trailing newline or none.
  private func device(_ text: [UInt8]) -> Device? {
    Self.name(text).flatMap(bus.device(called:))
  }

  static func name(_ text: [UInt8]) -> String? {
    let name = text.last == UInt8(ascii: "\n") ? text.dropLast() : text[...]
    return String(validating: name, as: UTF8.self)
  }

  // MARK: - Files of a driver

  /// - Throws: `ENODEV` when there is no such device or `driver` does not take it, `EBUSY` when it has a
  ///   driver.
  func bind(_ driver: BusDriver, _ text: [UInt8]) throws(Errno) {
    guard let device = device(text), takes(driver, device) else {
      throw .operationNotSupportedByDevice
    }
    try bind(device.address, driver)
  }

  func bind(_ address: Address, _ driver: BusDriver) throws(Errno) {
    do throws(BusError) {
      try bus.bind(address, to: driver)
    } catch {
      throw error.errno
    }
  }

  /// Waits while vfio's group is in use.
  ///
  /// - Throws: `ENODEV` when there is no such device or `driver` does not have it, `EBUSY` when it is being
  ///   unbound, where the kernel would wait along.
  func unbind(_ driver: BusDriver, _ text: [UInt8]) throws(Errno) -> SysfsWrite {
    guard let device = device(text) else { throw .operationNotSupportedByDevice }
    let bus = bus
    return try waiting(text.count) { completion throws(BusError) in
      try bus.unbind(device.address, from: driver, completion: completion)
    }
  }

  // MARK: - Files of the bus and of a device

  /// Finds a driver for a device that has none. That there is none is no error.
  ///
  /// - Throws: `ENODEV` when there is no such device.
  func probe(_ text: [UInt8]) throws(Errno) {
    guard let device = device(text) else { throw .operationNotSupportedByDevice }
    probe(device)
  }

  func probe(_ device: Device) {
    guard device.driver == .none else { return }
    // Drivers of the host are there before vfio is loaded; what the device was plugged in for, first.
    let hosts = names.filter { $0 != vfioName }.map(BusDriver.host)
    let all = [device.initialDriver] + hosts + [.vfio]
    guard let driver = all.first(where: { $0 != .none && takes($0, device) }) else { return }
    try? bind(device.address, driver)
  }

  /// Whether devices that are found get a driver: `drivers_autoprobe`.
  var probesByItself: Bool { state.withLock { $0.probesByItself } }

  /// Anything that does not begin with `0` means yes (`drivers_autoprobe_store` of drivers/base/bus.c).
  func setProbesByItself(_ text: [UInt8]) {
    state.withLock { $0.probesByItself = text.first != UInt8(ascii: "0") }
  }

  /// Keeps the device for a driver; an empty line ends that, and so does one that begins with a NUL. Who has it
  /// stays.
  ///
  /// - Throws: `EINVAL` for 4095 bytes or more and what is no text, `ENODEV` when the device is gone.
  func setOverride(_ address: Address, _ text: [UInt8]) throws(Errno) {
    let name = text.prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
    guard text.count < 4095, let name = String(validating: name, as: UTF8.self) else {
      throw .invalidArgument
    }
    do throws(BusError) {
      try bus.setDriverOverride(name.isEmpty ? nil : name, at: address)
    } catch {
      throw error.errno
    }
  }

  /// Reads a number as `kstrtoul` does: decimal, octal after `0`, hexadecimal after `0x`.
  static func number(_ text: [UInt8]) throws(Errno) -> UInt64 {
    guard var digits = name(text)?[...] else { throw .invalidArgument }
    if digits.hasPrefix("+") { digits = digits.dropFirst() }
    var radix = 10
    if digits.lowercased().hasPrefix("0x") {
      (radix, digits) = (16, digits.dropFirst(2))
    } else if digits.hasPrefix("0") {
      radix = 8
    }
    guard digits.first?.isHexDigit == true, let number = UInt64(digits, radix: radix) else {
      throw .invalidArgument
    }
    return number
  }

  static func isOn(_ text: [UInt8]) throws(Errno) -> Bool {
    try number(text) != 0
  }

  // MARK: - Waiting

  /// Makes a write of what may have to wait for a group to fall out of use.
  func waiting(
    _ count: Int,
    _ start: (_ completion: @escaping @Sendable () -> Void) throws(BusError) -> UnbindWait
  ) throws(Errno) -> SysfsWrite {
    let progress = Progress()
    let answer = DeferredAnswer { progress.wait.withLock { $0 }?.cancel() }
    do throws(BusError) {
      let wait = try start {
        progress.isDone.withLock { $0 = true }
        answer.complete(.success(.value(Int32(clamping: count))))
      }
      progress.wait.withLock { $0 = wait }
    } catch {
      throw error.errno
    }
    return progress.isDone.withLock { $0 } ? .done : .later(answer)
  }
}

/// How far a write that may have to wait has got.
private final class Progress: Sendable {
  let wait = Mutex<UnbindWait?>(nil)
  let isDone = Mutex(false)
}
