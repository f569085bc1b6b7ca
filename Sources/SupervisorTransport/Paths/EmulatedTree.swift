public import Sysfs
public import SystemPackage
public import VFIOCore

/// Files and directories that clients see and the machine does not have.
///
/// Asked anew for every system call, so that it may change at any time.
public protocol EmulatedTree: Sendable {
  /// `/`; the directories on the way to something emulated are in it as well.
  var root: EmulatedDirectory { get }

  /// Whether any node may have this name: for a fast no to what programs do all the time.
  func mayContain(_ name: Substring) -> Bool
}

extension EmulatedTree {
  public func mayContain(_ name: Substring) -> Bool { true }

  /// What is at an absolute path without `.`, `..`, doubled or trailing slashes. Follows no link.
  func node(at path: String) -> EmulatedNode? {
    var node = EmulatedNode.directory(root)
    for name in path.split(separator: "/") {
      guard case .directory(let directory) = node, let next = directory[String(name)] else {
        return nil
      }
      node = next
    }
    return node
  }
}

/// What a path leads to.
public enum EmulatedNode: Sendable {
  case directory(EmulatedDirectory)
  case file(EmulatedFile)
  /// A symbolic link and its text.
  case link(String)
  case device(EmulatedDevice)
}

/// A file as /sys has them.
public struct EmulatedFile: Sendable {
  public typealias Write = @Sendable ([UInt8]) throws(Errno) -> DeferredAnswer?

  public typealias ReadPart = @Sendable (_ offset: Int, _ count: Int) throws(Errno) -> [UInt8]
  public typealias WritePart = @Sendable (_ offset: Int, _ bytes: [UInt8]) throws(Errno) -> Int

  /// Permission bits.
  public var mode: UInt32
  /// What stat says, in bytes.
  public var size: UInt64
  /// The contents as they are now; nil for a file that cannot be read.
  public var contents: (@Sendable () -> [UInt8])?
  /// What a write does, all of it at once: done when it returns, unless it gives an answer to wait for, the
  /// count of bytes. Nil for a file that cannot be written.
  public var write: Write?
  /// The same for one that is written in parts, each at its offset: gives how many bytes it took.
  public var writePart: WritePart?

  /// The same for reads, which mean something by their place and length.
  public var readPart: ReadPart?
  /// What can be mapped of it.
  public var registers: SysfsRegisters?

  public var isReadable: Bool { contents != nil || readPart != nil }
  public var isWritable: Bool { write != nil || writePart != nil }

  public init(
    mode: UInt32, size: UInt64 = 4096, contents: (@Sendable () -> [UInt8])?, write: Write? = nil
  ) {
    self.mode = mode
    self.size = size
    self.contents = contents
    self.write = write
  }
}

/// A character device.
public struct EmulatedDevice: Sendable {
  /// Permission bits.
  public var mode: UInt32
  public var major: UInt32
  public var minor: UInt32
  public var open: @Sendable (any Client) throws(Errno) -> any VFIOFile

  public init(
    mode: UInt32, major: UInt32, minor: UInt32,
    open: @escaping @Sendable (any Client) throws(Errno) -> any VFIOFile
  ) {
    self.mode = mode
    self.major = major
    self.minor = minor
    self.open = open
  }
}

/// Several trees as one.
struct CombinedTree: EmulatedTree {
  let root: EmulatedDirectory
  private let trees: [any EmulatedTree]

  init(_ first: any EmulatedTree, _ others: [any EmulatedTree] = []) {
    trees = [first] + others
    root = others.reduce(first.root) { $0.merged(with: $1.root) }
  }

  func mayContain(_ name: Substring) -> Bool {
    trees.contains { $0.mayContain(name) }
  }
}
