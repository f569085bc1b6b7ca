public import ClientAccess
public import DeviceKit
public import SystemPackage
public import VFIOABI

/// An open file description: what the kernel's `struct file` is to a VFIO driver.
///
/// Groups, IOMMUs and devices each have one kind. A transport calls it for every system call that
/// arrives on any copy of its descriptor, from any thread, and calls `release` exactly once, when the
/// last copy is closed.
public protocol VFIOFile: AnyObject, Sendable {
  /// For the log and for people: `group pci:240`, `device 0000:06:0d.0`.
  var description: String { get }

  /// Which requests it knows, for people who trace them.
  var requests: RequestSet { get }

  /// Answers `ioctl(fd, request, argument)`.
  ///
  /// - Throws: the errno the client sees; `ENOTTY` for a request this kind of file does not know.
  func ioctl(
    _ request: UInt32, _ argument: UInt64, from client: any Client
  ) throws(Errno) -> IoctlResult

  /// Reads at `offset` into `buffer` and returns how many bytes that gave.
  func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int

  /// Writes `buffer` at `offset` and returns how many bytes were taken.
  func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int

  /// What can be mapped of the file is in this file, each byte at the same offset; nil where nothing can.
  ///
  /// The same object as long as the file is open. A transport may let a client map it only where `mmap`
  /// says so.
  var memory: SharedMemory? { get }

  /// Answers a client that wants to map a part of the file.
  ///
  /// - Throws: `ENODEV` where this kind of file cannot be mapped, `EINVAL` where that part cannot.
  func mmap(_ request: MapRequest) throws(Errno) -> MapBacking

  /// A client reads `width` bytes of registers that it has mapped, at `offset` of the file.
  ///
  /// - Throws: what raises SIGBUS in the client.
  func load(at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64

  /// The same for a write.
  func store(at offset: UInt64, width: AccessWidth, value: UInt64) throws(Errno)

  /// Whether the file has a position that lseek(2) moves; without, that fails with `ESPIPE`.
  var hasPosition: Bool { get }

  /// Whether a descriptor that an ioctl hands out for it is closed by exec.
  var closesOnExec: Bool { get }

  /// The last copy of the descriptor is gone.
  func release()
}

extension VFIOFile {
  public var requests: RequestSet { .draft2011 }

  public func load(at offset: UInt64, width: AccessWidth) throws(Errno) -> UInt64 {
    throw .ioError
  }

  public func store(at offset: UInt64, width: AccessWidth, value: UInt64) throws(Errno) {
    throw .ioError
  }

  /// As files without `llseek` had one when the draft was written (fs/read_write.c).
  public var hasPosition: Bool { true }

  /// As the draft's descriptors are.
  public var closesOnExec: Bool { false }

  /// The answer of a file without `read` (fs/read_write.c).
  public func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    throw .invalidArgument
  }

  /// The answer of a file without `write` (fs/read_write.c).
  public func write(at offset: UInt64, from buffer: UnsafeRawBufferPointer) throws(Errno) -> Int {
    throw .invalidArgument
  }

  public var memory: SharedMemory? { nil }

  /// The answer of a file without `mmap` (mm/mmap.c).
  public func mmap(_ request: MapRequest) throws(Errno) -> MapBacking {
    throw .operationNotSupportedByDevice
  }
}

/// What an ioctl that did not fail gives its caller.
public enum IoctlResult: Sendable {
  /// The system call's return value.
  case value(Int32)
  /// A new descriptor for this file. Getting it to the client is the transport's business; where
  /// that fails, the transport releases the file.
  case file(any VFIOFile)
  /// The answer comes later, and holds no thread until then.
  case later(DeferredAnswer)
}
