public import Sysfs
public import SystemPackage
public import VFIOCore

/// Files and directories that clients see and the machine does not have.
///
/// Asked anew for every system call, so that it may change at any time.
public protocol EmulatedTree: Sendable {
  /// What is at an absolute path without `.`, `..`, doubled or trailing slashes. Follows no link.
  ///
  /// The directories on the way to something emulated are nodes as well, from `/` on.
  func node(at path: String) -> EmulatedNode?

  /// Whether any node may have this name: for a fast no to what programs do all the time.
  func mayContain(_ name: Substring) -> Bool
}

extension EmulatedTree {
  public func mayContain(_ name: Substring) -> Bool { true }
}

/// What a path leads to.
public enum EmulatedNode: Sendable {
  /// A directory with these names in it; unless `isWhole`, besides what the machine's own has there.
  case directory(names: [String], isWhole: Bool)
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
  let trees: [any EmulatedTree]

  func node(at path: String) -> EmulatedNode? {
    var sum: EmulatedNode?
    for tree in trees {
      switch (sum, tree.node(at: path)) {
      case (_, nil): continue
      case (nil, let node?): sum = node
      case (.directory(let a, let aIsWhole), .directory(let b, let bIsWhole)):
        sum = .directory(names: a + b.filter { !a.contains($0) }, isWhole: aIsWhole && bIsWhole)
      default: continue
      }
    }
    return sum
  }

  func mayContain(_ name: Substring) -> Bool {
    trees.contains { $0.mayContain(name) }
  }
}
