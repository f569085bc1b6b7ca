import DeviceKit
import Synchronization
import SystemPackage
import VFIOCore

/// The kernel's driver core as far as sysfs steers it: which driver takes which function, and the writes that
/// bind and unbind (drivers/base/bus.c, drivers/pci/pci-driver.c).
///
/// A driver takes a function that it was given an ID of, and one that was plugged in for it: in place
/// of the table of IDs that a real driver is compiled with. `driver_override` comes before both.
///
/// Errnos are those of Linux 6, for both dialects. In 2011 a second `new_id` of the same was taken, and
/// `bind` of a bound function gave `ENODEV` instead of `EBUSY`; a script that worked with one works with the
/// other, for in both the function ends up bound.
final class DriverCore: Sendable {
  private struct State {
    var ids: [PCIBus.Driver: [DynamicID]] = [:]
    /// Whether a driver is looked for when a function is found.
    var probesByItself = true
    /// Functions whose ROM can be read.
    var shownROMs: Set<PCIAddress> = []
  }

  private let bus: PCIBus
  private let vfioName: String
  private let hostDrivers: Set<String>
  private let state = Mutex(State())

  init(bus: PCIBus, vfioName: String, hostDrivers: [String]) {
    self.bus = bus
    self.vfioName = vfioName
    self.hostDrivers = Set(hostDrivers)
  }

  // MARK: - Drivers and their names

  /// The names of all drivers, in order.
  var names: [String] {
    hostDrivers.union(bus.hostDrivers).union([vfioName]).sorted()
  }

  func name(of driver: PCIBus.Driver) -> String? {
    switch driver {
    case .none: nil
    case .vfio: vfioName
    case .host(let name): name
    }
  }

  /// - Returns: nil when there is no such driver.
  func driver(named name: String) -> PCIBus.Driver? {
    if name == vfioName { return .vfio }
    return hostDrivers.contains(name) || bus.hostDrivers.contains(name) ? .host(name) : nil
  }

  private func takes(_ driver: PCIBus.Driver, _ function: PCIBus.FunctionStatus) -> Bool {
    if let name = function.driverOverride { return name == self.name(of: driver) }
    if function.initialDriver == driver { return true }
    return state.withLock { state in
      state.ids[driver]?.contains { $0.matches(function.description) } ?? false
    }
  }

  /// The function that the kernel calls by `text`, a trailing newline or none.
  private func function(_ text: [UInt8]) -> PCIBus.FunctionStatus? {
    Self.address(text).flatMap(bus.function)
  }

  private static func address(_ text: [UInt8]) -> PCIAddress? {
    guard let name = name(text), let address = PCIAddress(name), address.description == name else {
      return nil
    }
    return address
  }

  private static func name(_ text: [UInt8]) -> String? {
    let name = text.last == UInt8(ascii: "\n") ? text.dropLast() : text[...]
    return String(validating: name, as: UTF8.self)
  }

  // MARK: - Files of a driver

  /// - Throws: `ENODEV` when there is no such function or `driver` does not take it, `EBUSY` when it has a
  ///   driver.
  func bind(_ driver: PCIBus.Driver, _ text: [UInt8]) throws(Errno) {
    guard let function = function(text), takes(driver, function) else {
      throw .operationNotSupportedByDevice
    }
    try bind(function.address, driver)
  }

  /// Waits while vfio's group is in use.
  ///
  /// - Throws: `ENODEV` when there is no such function or `driver` does not have it, `EBUSY` when it is being
  ///   unbound, where the kernel would wait along.
  func unbind(_ driver: PCIBus.Driver, _ text: [UInt8]) throws(Errno) -> SysfsWrite {
    guard let function = function(text) else { throw .operationNotSupportedByDevice }
    let bus = bus
    return try waiting(text.count) { completion throws(PCIBusError) in
      try bus.unbind(function.address, from: driver, completion: completion)
    }
  }

  /// Gives the driver an ID, and every function that nobody has and that it takes.
  ///
  /// - Throws: `EINVAL` without a vendor and a device, `EEXIST` for one that it has.
  func addID(_ driver: PCIBus.Driver, _ text: [UInt8]) throws(Errno) {
    let id = try DynamicID(text)
    try state.withLock { state throws(Errno) in
      if state.ids[driver, default: []].contains(where: { $0.covers(id) }) { throw .fileExists }
      state.ids[driver, default: []].append(id)
    }
    for function in bus.functions where function.driver == .none && takes(driver, function) {
      // Whoever is quicker may have it.
      try? bind(function.address, driver)
    }
  }

  /// Functions that the driver has stay with it.
  ///
  /// - Throws: `EINVAL` without a vendor and a device, `ENODEV` for an ID that it does not have.
  func removeID(_ driver: PCIBus.Driver, _ text: [UInt8]) throws(Errno) {
    let pattern = try DynamicID(text)
    try state.withLock { state throws(Errno) in
      guard let index = state.ids[driver]?.firstIndex(where: { $0.isMeant(by: pattern) }) else {
        throw .operationNotSupportedByDevice
      }
      state.ids[driver]?.remove(at: index)
    }
  }

  private func bind(_ address: PCIAddress, _ driver: PCIBus.Driver) throws(Errno) {
    do throws(PCIBusError) {
      try bus.bind(address, to: driver)
    } catch {
      throw error.errno
    }
  }

  // MARK: - Files of the bus and of a function

  /// Finds a driver for a function that has none. That there is none is no error.
  ///
  /// - Throws: `ENODEV` when there is no such function or bridge.
  func probe(_ text: [UInt8]) throws(Errno) {
    if let function = function(text) { return probe(function) }
    if Self.address(text).flatMap(bus.bridge(at:)) == nil { throw .operationNotSupportedByDevice }
  }

  private func probe(_ function: PCIBus.FunctionStatus) {
    guard function.driver == .none else { return }
    // Drivers of the host are there before vfio is loaded; what the function was plugged in for, first.
    let hosts = names.filter { $0 != vfioName }.map(PCIBus.Driver.host)
    let all = [function.initialDriver] + hosts + [.vfio]
    guard let driver = all.first(where: { $0 != .none && takes($0, function) }) else { return }
    try? bind(function.address, driver)
  }

  /// Keeps the function for a driver; an empty line ends that, and so does one that begins with a NUL. Who has it stays.
  ///
  /// - Throws: `EINVAL` for 4095 bytes or more and what is no text, `ENODEV` when the function is gone.
  func setOverride(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) {
    let name = text.prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
    guard text.count < 4095, let name = String(validating: name, as: UTF8.self) else {
      throw .invalidArgument
    }
    do throws(PCIBusError) {
      try bus.setDriverOverride(name.isEmpty ? nil : name, at: address)
    } catch {
      throw error.errno
    }
  }

  /// Takes a function, or a bridge with what is behind it, off the bus where the number is not 0. Waits while
  /// vfio's groups are in use.
  ///
  /// - Throws: `EINVAL` for what is no number, `ENODEV` when it is gone, `EBUSY` when it is on its way out
  ///   already.
  func remove(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) -> SysfsWrite {
    guard try Self.isOn(text) else { return .done }
    let bus = bus
    state.withLock { _ = $0.shownROMs.remove(address) }
    return try waiting(text.count) { completion throws(PCIBusError) in
      try bus.remove(address, .untilRescan, completion: completion)
    }
  }

  /// Finds again what `remove` took off the bus, and drivers for it.
  ///
  /// - Parameter number: of the bus to look on and behind; nil for everywhere.
  /// - Throws: `EINVAL` for what is no number.
  func rescan(_ number: PCIBusAddress? = nil, _ text: [UInt8]) throws(Errno) {
    guard try Self.isOn(text) else { return }
    for address in bus.rescan(number) where probesByItself {
      if let function = bus.function(at: address) { probe(function) }
    }
  }

  /// Whether functions that are found get a driver: `drivers_autoprobe`.
  var probesByItself: Bool { state.withLock { $0.probesByItself } }

  /// Anything that does not begin with `0` means yes (`drivers_autoprobe_store` of drivers/base/bus.c).
  func setProbesByItself(_ text: [UInt8]) {
    state.withLock { $0.probesByItself = text.first != UInt8(ascii: "0") }
  }

  /// Whether the function's `rom` can be read.
  func showsROM(_ address: PCIAddress) -> Bool {
    state.withLock { $0.shownROMs.contains(address) }
  }

  /// Anything but `0` and a newline lets it be read (`pci_write_rom`).
  func setShowsROM(_ address: PCIAddress, _ text: [UInt8]) {
    state.withLock { state in
      if text == Array("0\n".utf8) {
        state.shownROMs.remove(address)
      } else {
        state.shownROMs.insert(address)
      }
    }
  }

  /// Resets a function.
  ///
  /// - Throws: `EINVAL` for anything but 1, `ENODEV` when the function is gone.
  func reset(_ address: PCIAddress, _ text: [UInt8]) throws(Errno) {
    guard try Self.number(text) == 1 else { throw .invalidArgument }
    do throws(PCIBusError) { try bus.reset(address) } catch { throw error.errno }
  }

  /// Reads a number as `kstrtoul` does: decimal, octal after `0`, hexadecimal after `0x`.
  private static func number(_ text: [UInt8]) throws(Errno) -> UInt64 {
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

  private static func isOn(_ text: [UInt8]) throws(Errno) -> Bool {
    try number(text) != 0
  }

  // MARK: - Waiting

  /// Makes a write of what may have to wait for a group to fall out of use.
  private func waiting(
    _ count: Int,
    _ start: (_ completion: @escaping @Sendable () -> Void) throws(PCIBusError) -> UnbindWait
  ) throws(Errno) -> SysfsWrite {
    let progress = Progress()
    let answer = DeferredAnswer { progress.wait.withLock { $0 }?.cancel() }
    do throws(PCIBusError) {
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

  private final class Progress: Sendable {
    let wait = Mutex<UnbindWait?>(nil)
    let isDone = Mutex(false)
  }
}
