public import SystemPackage

/// Memory that belongs to a client.
public protocol ClientMemory: AnyObject, Sendable {
  /// Copies `buffer.count` bytes at `address` into `buffer`.
  ///
  /// - Throws: `EFAULT` when any byte of the range cannot be read; the buffer's contents are then unspecified.
  func read(_ address: ClientAddress, into buffer: UnsafeMutableRawBufferPointer) throws(Errno)

  /// Copies `buffer` to `address`.
  ///
  /// - Throws: `EFAULT` when any byte of the range cannot be written; a part may have been.
  func write(_ address: ClientAddress, from buffer: UnsafeRawBufferPointer) throws(Errno)
}

/// A client's address space, the kernel's `mm`: what owns a group, and what DMA reaches.
///
/// Two clients share an address space exactly when they hold the same object (`===`); threads and
/// `CLONE_VM` children do, fork children do not.
public protocol AddressSpace: ClientMemory {
  /// How far `range` is mapped with the rights a pinned page needs: readable, and writable where
  /// `writable` asks for it.
  ///
  /// - Returns: the first page of the range that is not; its upper bound when all of it is.
  /// - Throws: `EFAULT` when the memory cannot be looked at.
  func mappedEnd(of range: Range<ClientAddress>, writable: Bool) throws(Errno) -> ClientAddress

  /// Adds `bytes` to what the address space has locked (the kernel's `locked_vm`).
  ///
  /// - Throws: `ENOMEM`, with nothing added, when the sum would exceed `limit`.
  func lock(_ bytes: UInt64, limit: UInt64) throws(Errno)

  /// Takes `bytes` off again.
  func unlock(_ bytes: UInt64)
}
