public import ClientAccess
public import SystemPackage

/// The caller of a system call: what `current` is in the kernel.
///
/// Valid for the length of one call. The core asks it for everything that belongs to the caller and
/// never learns a pid; tests pass one that lives in memory.
public protocol Client: ClientMemory {
  /// The caller's address space, the same object for every caller that shares it.
  ///
  /// - Throws: `ESRCH` when the caller is gone, `EPERM` when it cannot be examined.
  func addressSpace() throws(Errno) -> any AddressSpace

  /// The VFIO file behind descriptor `fd` of the caller.
  ///
  /// - Returns: nil for a descriptor of something else.
  /// - Throws: `EBADF` for a descriptor that is not open.
  func file(_ fd: Int32) throws(Errno) -> (any VFIOFile)?

  /// The eventfd behind descriptor `fd` of the caller, duplicated.
  ///
  /// - Throws: `EBADF` for a descriptor that is not open, `EINVAL` for one that is no eventfd.
  func eventfd(_ fd: Int32) throws(Errno) -> any EventSignal

  /// How many bytes the caller may lock: its `RLIMIT_MEMLOCK`, `UInt64.max` with `CAP_IPC_LOCK`.
  func lockedMemoryLimit() throws(Errno) -> UInt64

  /// Whether the caller has `CAP_SYS_RAWIO`.
  func hasRawIO() throws(Errno) -> Bool

  /// Whether the caller can map a file's `VFIOFile.memory`, which its transport decides: no region is said to
  /// be mappable else.
  var canMap: Bool { get }

  /// Whether its transport sees each access to registers that the caller maps.
  var canMapRegisters: Bool { get }
}

extension Client {
  /// Most ways to a client have no mmap.
  public var canMap: Bool { false }

  public var canMapRegisters: Bool { false }
}
