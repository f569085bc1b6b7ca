public import ClientAccess
public import Logging
public import SystemPackage
public import VFIOCore

/// The thread behind a system call, for the length of that call.
///
/// @unchecked: used by the one thread that answers the call.
public final class ProcessClient: Client, @unchecked Sendable {
  private let thread: ClientThread
  private let shared: ClientServices
  /// The address space of its last call, and whether it has it still; nil where nobody has looked.
  private let last: ProcessAddressSpace?
  private var hasLast: Bool?

  public init(_ thread: ClientThread, _ shared: ClientServices) {
    self.thread = thread
    self.shared = shared
    last = shared.addressSpaces.last(of: thread)
  }

  public func read(
    _ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) {
    // Most calls that want the address space read their arguments first: one system call for both.
    if let last, hasLast == nil {
      hasLast = try last.read(address, into: buffer, of: thread)
    } else {
      try thread.read(address, into: buffer)
    }
  }

  public func write(
    _ address: ClientAddress, from buffer: UnsafeRawBufferPointer
  ) throws(Errno) {
    try thread.write(address, from: buffer)
  }

  public func addressSpace() throws(Errno) -> any AddressSpace {
    if let last, hasLast == true { return last }
    do throws(Errno) {
      return try shared.addressSpaces.addressSpace(of: thread)
    } catch {
      guard error.meansNoRight else { throw error }
      shared.logger.warning(
        "cannot tell whose call this is: the client cannot be examined; \(shared.rightsNeeded)",
        metadata: ["pid": "\(thread.id)", "errno": "\(error)"])
      throw .permissionDenied
    }
  }

  public func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)? {
    shared.file(try thread.identify(fd), thread, fd)
  }

  public func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal {
    if let made = shared.eventfd { return try made(thread, fd) }
    return try thread.eventfd(fd, monitor: shared.events)
  }

  public var canMap: Bool { shared.canMap }

  public var canMapRegisters: Bool { shared.canMapRegisters }

  public func lockedMemoryLimit() throws(Errno) -> UInt64 {
    try thread.lockedMemoryLimit()
  }

  public func hasRawIO() throws(Errno) -> Bool {
    try thread.hasRawIO()
  }
}

/// What clients share for as long as the transport runs.
public struct ClientServices: Sendable {
  let addressSpaces: AddressSpaceTable
  let events: EventMonitor
  let logger: Logger
  /// What to do where a client cannot be examined: the end of a sentence.
  let rightsNeeded: String
  /// The VFIO file that a descriptor with this identity leads to, that of a client.
  let file: @Sendable (FileIdentity, ClientThread, Int32) -> (any VFIOFile)?
  /// Finds an eventfd of a client where we may not take copies of its descriptors; nil where we may.
  public var eventfd: (@Sendable (ClientThread, Int32) throws(Errno) -> any EventSignal)?

  /// Whether clients can map what a file's `mmap` gives.
  public var canMap = false

  /// Whether we see each access to registers that clients map.
  public var canMapRegisters = false

  /// - Parameters:
  ///   - isOneTree: as `AddressSpaceTable` has it.
  ///   - isDevice: as `AddressSpaceTable` has it.
  public init(
    events: EventMonitor, logger: Logger, rightsNeeded: String, isOneTree: Bool = false,
    isDevice: @escaping @Sendable (VMA) -> Bool = { _ in false },
    file: @escaping @Sendable (FileIdentity, ClientThread, Int32) -> (any VFIOFile)?
  ) {
    addressSpaces = AddressSpaceTable(isOneTree: isOneTree, isDevice: isDevice)
    self.events = events
    self.logger = logger
    self.rightsNeeded = rightsNeeded
    self.file = file
  }
}

extension Errno {
  /// Not allowed to reach into the caller, or not able to see it.
  public var meansNoRight: Bool {
    self == .notPermitted || self == .permissionDenied || self == .noSuchProcess
  }
}
