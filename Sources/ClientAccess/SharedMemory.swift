import CLinux
import Glibc
public import SystemPackage

/// Memory that a device shares with its clients: a sparse file, parts of which either side maps.
///
/// Its size is sealed. A client that holds the descriptor cannot shorten it, which would make our own next
/// access raise SIGBUS, nor seal it against us. Pages are made when they are first touched.
public final class SharedMemory: Sendable {
  /// Bytes of a page: what can be mapped are whole pages.
  public static let pageSize = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))

  /// Bytes.
  public let size: UInt64
  private let file: OwnedFD

  /// - Parameters:
  ///   - name: for `/proc/<pid>/maps`.
  ///   - size: bytes, all zeros.
  /// - Throws: `EFBIG` for a size beyond our `RLIMIT_FSIZE`, and what `memfd_create(2)` says.
  public init(name: String, size: UInt64) throws(Errno) {
    self.size = size
    file = try OwnedFD(result: cl_shared_memory(name, size))
  }

  /// The file, for a transport that maps it into clients or gives them a copy. It stays ours.
  public var descriptor: Int32 { file.rawValue }

  /// Maps a part of it into our own memory, for as long as the window lives.
  ///
  /// - Parameter range: bytes from the start; whole pages.
  /// - Throws: `EINVAL` for a part that is not inside it, `ENOMEM` where there is no room for it.
  public func window(_ range: Range<UInt64>) throws(Errno) -> Window {
    guard !range.isEmpty, range.upperBound <= size, range.lowerBound % Self.pageSize == 0,
      let count = Int(exactly: range.upperBound - range.lowerBound)
    else { throw .invalidArgument }
    // SAFETY: a new mapping, where nothing else is.
    let start = mmap(
      nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, off_t(range.lowerBound))
    guard let start, start != MAP_FAILED else { throw Errno(rawValue: errno) }
    return Window(UnsafeMutableRawBufferPointer(start: start, count: count), of: self)
  }

  /// A part of shared memory in our own. Accesses race with those of whoever else has it mapped, as with a
  /// device's memory.
  ///
  /// @unchecked: the bounds never change, and what is inside belongs to nobody.
  public final class Window: @unchecked Sendable {
    private let bytes: UnsafeMutableRawBufferPointer
    private let memory: SharedMemory

    fileprivate init(_ bytes: UnsafeMutableRawBufferPointer, of memory: SharedMemory) {
      self.bytes = bytes
      self.memory = memory
    }

    deinit {
      // SAFETY: mapped in `window`, and nobody has its address but this object.
      munmap(bytes.baseAddress, bytes.count)
    }

    /// Bytes.
    public var count: Int { bytes.count }

    /// Copies out of it. All of the bytes are inside, else this traps.
    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) {
      precondition(offset >= 0 && offset <= count && buffer.count <= count - offset)
      // SAFETY: checked to be inside. An aligned word moves as one, as over a bus.
      let source = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + buffer.count)])
      switch (buffer.count, offset % 8) {
      case (8, 0): buffer.storeBytes(of: source.load(as: UInt64.self), as: UInt64.self)
      case (4, 0), (4, 4): buffer.storeBytes(of: source.load(as: UInt32.self), as: UInt32.self)
      default: buffer.copyMemory(from: source)
      }
    }

    /// Copies into it. All of the bytes are inside, else this traps.
    public func write(at offset: Int, from buffer: UnsafeRawBufferPointer) {
      precondition(offset >= 0 && offset <= count && buffer.count <= count - offset)
      // SAFETY: checked to be inside. An aligned word moves as one, as over a bus.
      let target = UnsafeMutableRawBufferPointer(
        rebasing: bytes[offset..<(offset + buffer.count)])
      switch (buffer.count, offset % 8) {
      case (8, 0): target.storeBytes(of: buffer.loadUnaligned(as: UInt64.self), as: UInt64.self)
      case (4, 0), (4, 4):
        target.storeBytes(of: buffer.loadUnaligned(as: UInt32.self), as: UInt32.self)
      default: target.copyMemory(from: buffer)
      }
    }
  }
}
