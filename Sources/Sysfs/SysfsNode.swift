public import DeviceKit
public import SystemPackage
public import VFIOCore

/// What a path below `/sys` leads to.
public enum SysfsNode: Sendable {
  case directory(SysfsDirectory)
  case file(SysfsFile)
  /// Where the link leads: relative, as sysfs has it.
  case symlink(String)

  /// The permissions that `stat` shows, as sysfs has them; everything belongs to root.
  public var permissions: FilePermissions {
    switch self {
    case .directory: FilePermissions(rawValue: 0o755)
    case .file(let file): file.permissions
    case .symlink: FilePermissions(rawValue: 0o777)
    }
  }
}

/// A directory of the emulated `/sys`. Costs nothing until it is looked into, and shows what is there
/// at that moment.
public struct SysfsDirectory: Sendable {
  private let list: @Sendable () -> [String]
  private let find: @Sendable (String) -> SysfsNode?
  /// Whether a machine has such a directory anyway, with other things in it.
  public let isShared: Bool

  /// - Parameters:
  ///   - names: what is in it, each name once.
  ///   - child: nil for a name that is not in it; not called for `.` and `..`.
  init(
    isShared: Bool = false, names: @escaping @Sendable () -> [String],
    child: @escaping @Sendable (String) -> SysfsNode?
  ) {
    self.isShared = isShared
    list = names
    find = child
  }

  /// Without `.` and `..`.
  public var names: [String] { list() }

  /// - Returns: nil for a name that is not in it.
  public subscript(name: String) -> SysfsNode? { find(name) }
}

/// A file of the emulated `/sys`.
public struct SysfsFile: Sendable {
  public typealias Read = @Sendable () throws(Errno) -> [UInt8]
  public typealias ReadPart = @Sendable (_ offset: Int, _ count: Int) throws(Errno) -> [UInt8]
  public typealias WritePart = @Sendable (_ offset: Int, _ bytes: [UInt8]) throws(Errno) -> Int
  public typealias Write = @Sendable ([UInt8]) throws(Errno) -> SysfsWrite

  public var permissions: FilePermissions
  /// What `stat` says, in bytes: 4096 for every attribute, whatever it holds (fs/sysfs/file.c).
  public var size: UInt64
  /// What it holds now, all of it. Reads of one open description are parts of what the first gave. Throws
  /// `ENODEV` when the object behind the file is gone, `EIO` for what can only be mapped. Nil where it
  /// cannot be opened for reading: `EACCES`, for root as well (fs/kernfs/file.c).
  public var read: Read?
  /// Takes one `write` whole, a trailing newline or none, and acts. Nil where it cannot be opened for
  /// writing: `EACCES`.
  public var write: Write?
  /// The same for one that is written in parts, each at its offset: gives how many bytes it took.
  public var writePart: WritePart?
  /// The same as `read` for one whose reads mean something by their place and length: gives what there is.
  public var readPart: ReadPart?
  /// What can be mapped of it.
  public var registers: SysfsRegisters?
  /// As the kernel's binary attributes: every read sees what it holds then.
  public var isBinary = false
  /// How many bytes it has for whoever is no administrator; nil for all.
  public var unprivilegedSize: Int?

  public var isReadable: Bool { read != nil || readPart != nil }
  public var isWritable: Bool { write != nil || writePart != nil }

  init(_ permissions: UInt16, size: UInt64 = 4096, read: Read? = nil, write: Write? = nil) {
    self.permissions = FilePermissions(rawValue: CInterop.Mode(permissions))
    self.size = size
    self.read = read
    self.write = write
  }
}

/// Registers behind a file, for who maps it: each access acts at once.
public struct SysfsRegisters: Sendable {
  /// Bytes.
  public var size: UInt64
  /// An access that is all inside.
  public var load: @Sendable (_ offset: UInt64, _ width: AccessWidth) -> UInt64
  public var store: @Sendable (_ offset: UInt64, _ width: AccessWidth, _ value: UInt64) -> Void
}

/// How a write that did not fail ends.
public enum SysfsWrite: Sendable {
  /// All bytes are taken, and their effect is there.
  case done
  /// The answer, `.value` with the count of bytes, comes later and holds no thread until then. Cancelling
  /// takes the write back: it had no effect.
  case later(DeferredAnswer)
}
