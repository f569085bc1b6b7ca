import ClientAccess
import Synchronization
import SystemPackage
import TestSupport
import VFIOABI
import VFIOCore

/// A client that lives in memory: an address space, a table of descriptors, and a page to pass
/// arguments in.
final class MemoryClient: Client {
  enum Descriptor {
    case file(any VFIOFile)
    case event(EventDouble)
    case other
  }

  private struct State {
    var descriptors: [Int32: Descriptor] = [:]
    var limit = UInt64.max
    var canMap = false
    var hasRawIO = true
  }

  /// Where arguments are put; nothing is mapped behind the page.
  static let argument: UInt64 = 0x10_0000

  let space: MemorySpace
  private let state = Mutex(State())

  /// - Parameter space: another client's, for a thread of it.
  init(sharing space: MemorySpace = MemorySpace()) {
    self.space = space
    space.mmap(Self.argument, pages: 1)
  }

  func setLockedMemoryLimit(_ bytes: UInt64) {
    state.withLock { $0.limit = bytes }
  }

  /// As over a transport with mmap.
  func setCanMap() {
    state.withLock { $0.canMap = true }
  }

  func dropRawIO() {
    state.withLock { $0.hasRawIO = false }
  }

  // MARK: - Client

  func hasRawIO() -> Bool { state.withLock { $0.hasRawIO } }

  var canMap: Bool { state.withLock { $0.canMap } }

  var canMapRegisters: Bool { canMap }

  func addressSpace() -> any AddressSpace { space }

  func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)? {
    if case .file(let file) = try descriptor(fd) { file } else { nil }
  }

  func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal {
    guard case .event(let event) = try descriptor(fd) else { throw .invalidArgument }
    return event
  }

  func lockedMemoryLimit() -> UInt64 {
    state.withLock { $0.limit }
  }

  func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    try space.read(address, into: buffer)
  }

  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    try space.write(address, from: buffer)
  }

  private func descriptor(_ fd: Int32) throws(Errno) -> Descriptor {
    guard let descriptor = state.withLock({ $0.descriptors[fd] }) else {
      throw .badFileDescriptor
    }
    return descriptor
  }

  // MARK: - System calls

  /// Puts a descriptor into the lowest free number.
  @discardableResult
  func install(_ descriptor: Descriptor) -> Int32 {
    state.withLock { state in
      var fd: Int32 = 3
      while state.descriptors[fd] != nil { fd += 1 }
      state.descriptors[fd] = descriptor
      return fd
    }
  }

  func close(_ fd: Int32) {
    let closed = state.withLock { $0.descriptors.removeValue(forKey: fd) }
    if case .file(let file) = closed { file.release() }
  }

  /// Takes a descriptor back that somebody else closes.
  func forget(_ fd: Int32) {
    state.withLock { $0.descriptors[fd] = nil }
  }

  func open(_ vfio: VFIO, _ number: UInt32) throws(Errno) -> Int32 {
    install(.file(try vfio.openGroup(GroupID(bus: "pci", number: number))))
  }

  @discardableResult
  func ioctl(_ fd: Int32, _ request: UInt32, _ argument: UInt64 = 0) throws(Errno) -> Int32 {
    guard let file = try file(fd) else { throw .inappropriateIOCTLForDevice }
    switch try file.ioctl(request, argument, from: self) {
    case .value(let value): return value
    case .file(let file): return install(.file(file))
    case .later: throw .wouldBlock
    }
  }

  @discardableResult
  func ioctl(
    _ fd: Int32, _ request: Draft2011.Request, _ argument: UInt64 = 0
  ) throws(Errno) -> Int32 {
    try ioctl(fd, request.rawValue, argument)
  }

  /// Passes a structure, and gives it back as the call left it.
  @discardableResult
  func ioctl<T: SizedArgument>(
    _ fd: Int32, _ request: UInt32, _ value: T
  ) throws(Errno) -> T {
    var value = value
    try store(value, to: ClientAddress(Self.argument))
    try ioctl(fd, request, Self.argument)
    try load(&value, from: ClientAddress(Self.argument))
    return value
  }

  @discardableResult
  func ioctl<T: SizedArgument>(
    _ fd: Int32, _ request: Draft2011.Request, _ value: T
  ) throws(Errno) -> T {
    try ioctl(fd, request.rawValue, value)
  }

  /// Passes a NUL-terminated string.
  func getDevice(_ fd: Int32, _ name: String) throws(Errno) -> Int32 {
    space.poke(Self.argument, Array(name.utf8) + [0])
    return try ioctl(fd, .groupGetDeviceFD, Self.argument)
  }

  func getIOMMU(_ fd: Int32) throws(Errno) -> Int32 {
    try ioctl(fd, .groupGetIOMMUFD)
  }

  func merge(_ merger: Int32, _ mergee: Int32) throws(Errno) {
    try store(mergee, to: ClientAddress(Self.argument))
    try ioctl(merger, .groupMerge, Self.argument)
  }

  func groupFlags(_ fd: Int32) throws(Errno) -> Draft2011.GroupInfo.Flags {
    try ioctl(fd, .groupGetInfo, Draft2011.GroupInfo.sized).flags
  }

  func mapDMA(
    _ iommu: Int32, iova: UInt64, vaddr: UInt64, size: UInt64,
    flags: Draft2011.DMAMap.Flags = [.read, .write]
  ) throws(Errno) {
    var map = Draft2011.DMAMap.sized
    map.iova = iova
    map.vaddr = vaddr
    map.size = size
    map.flags = flags
    try ioctl(iommu, .iommuMapDMA, map)
  }

  func unmapDMA(_ iommu: Int32, iova: UInt64, size: UInt64) throws(Errno) {
    var unmap = Draft2011.DMAUnmap.sized
    unmap.iova = iova
    unmap.size = size
    try ioctl(iommu, .iommuUnmapDMA, unmap)
  }

  func setEventfds(
    _ device: Int32, _ index: UInt32, _ descriptors: [Int32],
    _ request: Draft2011.Request = .deviceSetIRQEventfds
  ) throws(Errno) {
    var header = Draft2011.IRQEventfds.sized
    header.index = index
    header.count = UInt32(descriptors.count)
    header.argsz = UInt32(header.fullSize)
    for (i, descriptor) in descriptors.enumerated() {
      try store(descriptor, to: ClientAddress(Self.argument + 16 + UInt64(i) * 4))
    }
    try ioctl(device, request, header)
  }

  func pread(_ fd: Int32, _ region: UInt32, _ offset: UInt64, _ count: Int) throws(Errno)
    -> [UInt8]
  {
    guard let file = try file(fd) else { throw .badFileDescriptor }
    var bytes = [UInt8](repeating: 0xee, count: count)
    let done = try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
      try file.read(
        at: UInt64(region) << 40 | offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return Array(bytes[..<done])
  }

  @discardableResult
  func pwrite(
    _ fd: Int32, _ region: UInt32, _ offset: UInt64, _ bytes: [UInt8]
  ) throws(Errno) -> Int {
    guard let file = try file(fd) else { throw .badFileDescriptor }
    return try bytes.withUnsafeBufferPointer { buffer throws(Errno) in
      try file.write(at: UInt64(region) << 40 | offset, from: UnsafeRawBufferPointer(buffer))
    }
  }

  /// Reads a little-endian register.
  func read(_ fd: Int32, _ region: UInt32, _ offset: UInt64, bytes: Int = 4) throws(Errno)
    -> UInt64
  {
    try pread(fd, region, offset, bytes).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  func write(
    _ fd: Int32, _ region: UInt32, _ offset: UInt64, _ value: UInt64, bytes: Int = 4
  ) throws(Errno) {
    try pwrite(fd, region, offset, (0..<bytes).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) })
  }
}

/// A structure that says its own size.
protocol Sizeable: SizedArgument {
  var argsz: UInt32 { get set }
}

extension Sizeable {
  static var sized: Self {
    var value = Self()
    value.argsz = UInt32(size)
    return value
  }
}

extension Draft2011.GroupInfo: Sizeable {}
extension Draft2011.IOMMUInfo: Sizeable {}
extension Draft2011.DMAMap: Sizeable {}
extension Draft2011.DMAUnmap: Sizeable {}
extension Draft2011.DeviceInfo: Sizeable {}
extension Draft2011.RegionInfo: Sizeable {}
extension Draft2011.IRQInfo: Sizeable {}
extension Draft2011.IRQEventfds: Sizeable {}
extension Draft2011.UnmaskIRQ: Sizeable {}
