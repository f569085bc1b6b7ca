import CLinux
public import SystemPackage

/// Which file it is: file system and inode, and the device a node stands for.
public struct FileIdentity: Hashable, Sendable {
  public struct DeviceNumber: Hashable, Sendable {
    public var major: UInt32
    public var minor: UInt32

    public init(major: UInt32, minor: UInt32) {
      self.major = major
      self.minor = minor
    }
  }

  public var fileSystem: DeviceNumber
  public var inode: UInt64
  /// Nil unless the file is a character device node.
  public var characterDevice: DeviceNumber?

  init(_ c: cl_file_identity) {
    fileSystem = DeviceNumber(major: c.dev_major, minor: c.dev_minor)
    inode = c.inode
    let isCharacterDevice = c.mode & 0o170000 == 0o020000
    characterDevice =
      isCharacterDevice ? DeviceNumber(major: c.rdev_major, minor: c.rdev_minor) : nil
  }

  /// - Throws: what `statx(2)` says of `path`.
  public init(path: String) throws(Errno) {
    var c = cl_file_identity()
    try cl_identify(path, &c).checked()
    self.init(c)
  }
}
