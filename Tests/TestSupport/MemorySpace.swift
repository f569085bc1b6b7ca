public import ClientAccess
import Synchronization
public import SystemPackage

/// An address space in memory: sparse pages with protections, and exact `EFAULT`.
public final class MemorySpace: AddressSpace {
  public static let pageSize: UInt64 = 4096

  public struct Protection: OptionSet, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) {
      self.rawValue = rawValue
    }

    public static let read = Protection(rawValue: 1)
    public static let write = Protection(rawValue: 2)
  }

  private struct Page {
    var bytes: [UInt8]
    var protection: Protection
  }

  private struct State {
    var pages: [UInt64: Page] = [:]
    var locked: UInt64 = 0
    var onCopy: (@Sendable () -> Void)?
    var devices: [Range<ClientAddress>] = []
  }

  private let state = Mutex(State())

  public init() {}

  /// Bytes locked now.
  public var locked: UInt64 { state.withLock { $0.locked } }

  /// Runs `hook` in every copy of an address space, before the bytes move, with no lock held.
  public func onCopy(_ hook: (@Sendable () -> Void)?) {
    state.withLock { $0.onCopy = hook }
  }

  /// Maps zeroed pages.
  public func mmap(_ address: UInt64, pages: Int, _ protection: Protection = [.read, .write]) {
    state.withLock { state in
      for i in 0..<UInt64(pages) {
        let zeros = [UInt8](repeating: 0, count: Int(Self.pageSize))
        state.pages[address / Self.pageSize + i] = Page(bytes: zeros, protection: protection)
      }
    }
  }

  /// Maps pages of a device.
  public func mmapDevice(_ address: UInt64, pages: Int) {
    mmap(address, pages: pages)
    let end = address + UInt64(pages) * Self.pageSize
    state.withLock { $0.devices.append(ClientAddress(address)..<ClientAddress(end)) }
  }

  public func munmap(_ address: UInt64, pages: Int) {
    state.withLock { state in
      for i in 0..<UInt64(pages) { state.pages[address / Self.pageSize + i] = nil }
    }
  }

  /// Looks at memory whatever its protection; nil where nothing is mapped.
  public func peek(_ address: UInt64) -> UInt8? {
    state.withLock { $0.pages[address / Self.pageSize]?.bytes[Int(address % Self.pageSize)] }
  }

  public func peek(_ address: UInt64, count: Int) -> [UInt8?] {
    (0..<UInt64(count)).map { peek(address &+ $0) }
  }

  /// Changes memory whatever its protection.
  public func poke(_ address: UInt64, _ bytes: some Sequence<UInt8>) {
    state.withLock { state in
      for (i, byte) in bytes.enumerated() {
        let at = address + UInt64(i)
        state.pages[at / Self.pageSize]?.bytes[Int(at % Self.pageSize)] = byte
      }
    }
  }

  public func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    runHook()
    try state.withLock { state throws(Errno) in
      for i in 0..<buffer.count {
        let at = try Self.address(address, i)
        guard let page = state.pages[at / Self.pageSize], page.protection.contains(.read) else {
          throw .badAddress
        }
        buffer[i] = page.bytes[Int(at % Self.pageSize)]
      }
    }
  }

  public func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno) {
    runHook()
    try state.withLock { state throws(Errno) in
      for i in 0..<buffer.count {
        let at = try Self.address(address, i)
        let protection = state.pages[at / Self.pageSize]?.protection ?? []
        guard protection.contains(.write) else { throw .badAddress }
        state.pages[at / Self.pageSize]?.bytes[Int(at % Self.pageSize)] = buffer[i]
      }
    }
  }

  public func mapped(
    _ range: Range<ClientAddress>, writable: Bool
  ) throws(Errno) -> MappedExtent {
    let needed: Protection = writable ? [.read, .write] : .read
    let devices = state.withLock { $0.devices.filter { $0.overlaps(range) } }
    var page = range.lowerBound.rawValue / Self.pageSize
    while page * Self.pageSize < range.upperBound.rawValue {
      let protection = state.withLock { $0.pages[page]?.protection ?? [] }
      guard protection.isSuperset(of: needed) else {
        return MappedExtent(
          end: max(range.lowerBound, ClientAddress(page * Self.pageSize)), devices: devices)
      }
      page += 1
    }
    return MappedExtent(end: range.upperBound, devices: devices)
  }

  public func lock(_ bytes: UInt64, limit: UInt64) throws(Errno) {
    try state.withLock { state throws(Errno) in
      let (sum, overflow) = state.locked.addingReportingOverflow(bytes)
      guard !overflow, sum <= limit else { throw .noMemory }
      state.locked = sum
    }
  }

  public func unlock(_ bytes: UInt64) {
    state.withLock { $0.locked -= bytes }
  }

  private func runHook() {
    state.withLock { $0.onCopy }?()
  }

  private static func address(_ base: ClientAddress, _ offset: Int) throws(Errno) -> UInt64 {
    guard let at = base.advanced(by: UInt64(offset)) else { throw .badAddress }
    return at.rawValue
  }
}
