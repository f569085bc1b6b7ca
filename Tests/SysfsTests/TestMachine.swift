import ClientAccess
import DeviceKit
import Devices
import Logging
import Synchronization
import SystemPackage
import TestSupport
import Testing
import VFIOABI
import VFIOCore

@testable import Sysfs

/// A machine with its `/sys`.
///
/// `0000:06:0d.0` and `.1` are behind a conventional bridge, in group 240, with the host's driver `edu`.
/// `0000:00:02.0` is on the root bus, in group 3, with vfio; `0000:00:03.0` in group 4 with nobody.
struct TestMachine {
  let vfio: VFIO
  let bus: PCIBus
  let platform: PlatformBus
  let tree: SysfsTree

  static let first = "0000:06:0d.0"
  static let second = "0000:06:0d.1"
  static let onRoot = "0000:00:02.0"
  static let free = "0000:00:03.0"
  static let bridge = "0000:00:1e.0"

  init(_ dialect: SysfsDialect = .draft2011, populated: Bool = true) throws {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    vfio = VFIO(logger: logger)
    bus = PCIBus(vfio: vfio, scheduler: ManualScheduler(), logger: logger)
    platform = PlatformBus(vfio: vfio, scheduler: ManualScheduler(), logger: logger)
    let options = SysfsOptions(
      dialect: dialect, hostDrivers: ["e1000e"],
      deviceNumber: { $0.number == 240 ? SysfsDeviceNumber(major: 252, minor: 27) : nil },
      processors: 2)
    tree = SysfsTree(bus: bus, platform: platform, vfio: vfio, options: options)
    guard populated else { return }
    try add(bridge: Self.bridge, 6, deviceID: 0x244e, revision: 0x90)
    try add(Self.first, group: 240, driver: .host("edu"))
    try add(Self.second, group: 240, driver: .host("edu"))
    try add(Self.onRoot, group: 3, driver: .vfio, kind: Self.everything)
    try add(Self.free, group: 4, driver: .none, kind: Self.everything)
  }

  func add(
    _ address: String, group: UInt32, hasIOMMU: Bool = true, driver: PCIBus.Driver,
    kind: PCIFunctionKind = Edu.kind
  ) throws {
    try bus.add(
      address: #require(PCIAddress(address)), kind: kind, group: group, hasIOMMU: hasIOMMU,
      driver: driver)
  }

  func add(
    bridge address: String, _ secondary: UInt8, deviceID: UInt16 = 0x8232, revision: UInt8 = 0
  ) throws {
    try bus.add(
      PCIBridge(
        address: #require(PCIAddress(address)), secondary: secondary, vendorID: 0x8086,
        deviceID: deviceID, revision: revision))
  }

  func driver(_ address: String) throws -> PCIBus.Driver? {
    bus.function(at: try #require(PCIAddress(address)))?.driver
  }

  // MARK: - As a shell has it

  /// `cat`
  func cat(_ path: String) throws -> String {
    String(decoding: try read(path), as: UTF8.self)
  }

  func read(_ path: String) throws -> [UInt8] {
    let read = try #require(try file(path).read, "\(path) cannot be read")
    return try read()
  }

  /// `echo text > path`
  @discardableResult
  func echo(_ text: String, _ path: String) throws -> SysfsWrite {
    try write(Array("\(text)\n".utf8), path)
  }

  @discardableResult
  func write(_ bytes: [UInt8], _ path: String) throws -> SysfsWrite {
    let write = try #require(try file(path).write, "\(path) cannot be written")
    return try write(bytes)
  }

  /// `pwrite` of a file that is written in parts.
  @discardableResult
  func poke(_ path: String, _ offset: Int, _ bytes: [UInt8]) throws -> Int {
    let write = try #require(try file(path).writePart, "\(path) is not written in parts")
    return try write(offset, bytes)
  }

  /// The errno of `echo text > path`, nil where it succeeds at once.
  func echoError(_ text: String, _ path: String) throws -> Errno? {
    do {
      let result = try echo(text, path)
      if case .later = result { Issue.record("\(path) waits") }
      return nil
    } catch let error as Errno {
      return error
    }
  }

  func file(_ path: String) throws -> SysfsFile {
    guard case .file(let file)? = tree.lookup(try tree.resolve(path)) else {
      throw Errno.isDirectory
    }
    return file
  }

  /// `ls`
  func ls(_ path: String) throws -> [String] {
    guard case .directory(let directory)? = tree.lookup(try tree.resolve(path)) else {
      throw Errno.notDirectory
    }
    return directory.names
  }

  /// `readlink`; nil for what is no symlink.
  func readlink(_ path: String) throws -> String? {
    let place = try tree.resolve(path, followsLast: false)
    guard case .symlink(let target)? = tree.lookup(place) else { return nil }
    return target
  }

  /// `readlink -f`
  func realpath(_ path: String) throws -> String {
    try tree.resolve(path).joined(separator: "/")
  }

  func exists(_ path: String) -> Bool {
    (try? tree.resolve(path, followsLast: false)) != nil
  }
}

/// A model of which only the header matters.
private final class NoModel: PCIFunctionModel {
  func read(bar: Int, offset: UInt64, width: AccessWidth) -> UInt64 { 0 }
  func write(bar: Int, offset: UInt64, width: AccessWidth, value: UInt64) {}
  func reset() {}
}

extension TestMachine {
  /// One of every BAR.
  static let everything = PCIFunctionKind(
    name: "everything",
    description: PCIFunctionDescription(
      vendorID: 0x1111, deviceID: 0x2a2a, revision: 3, classCode: 0x0201ab,
      subsystemVendorID: 0x3333, subsystemID: 0x4b4b,
      bars: [
        0: .memory32(size: 4096), 1: .io(size: 32), 2: .memory64(size: 1 << 33, prefetchable: true),
        4: .memory32(size: 32, prefetchable: true),
        5: .memory32(size: 1 << 31),
      ],
      interruptPin: .b),
    make: { _ in NoModel() })
}

/// A client with nothing but an address space.
final class ClientDouble: Client {
  let space = MemorySpace()

  func addressSpace() -> any AddressSpace { space }
  func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)? { throw .badFileDescriptor }
  func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal { throw .badFileDescriptor }
  func lockedMemoryLimit() -> UInt64 { .max }
  func hasRawIO() -> Bool { false }

  func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    try space.read(address, into: buffer)
  }

  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    try space.write(address, from: buffer)
  }

  /// Opens a group's IOMMU, and the function of a name where there is one.
  func use(
    _ machine: TestMachine, _ group: UInt32, device name: String? = nil
  ) throws -> Use {
    let file = try machine.vfio.openGroup(VFIOCore.GroupID(bus: "pci", number: group))
    var files = [file]
    var requests: [(Draft2011.Request, UInt64)] = [(.groupGetIOMMUFD, 0)]
    if let name {
      space.mmap(0x1000, pages: 1)
      space.poke(0x1000, Array(name.utf8) + [0])
      requests.append((.groupGetDeviceFD, 0x1000))
    }
    for (request, argument) in requests {
      guard case .file(let opened) = try file.ioctl(request.rawValue, argument, from: self) else {
        throw Errno.ioError
      }
      files.append(opened)
    }
    return Use(files: files)
  }

  struct Use {
    let files: [any VFIOFile]

    func end() {
      for file in files.reversed() { file.release() }
    }
  }
}
