import CFuse3
import Synchronization
import Sysfs
import SystemPackage

/// What an open description of the mount leads to: what `fuse_file_info.fh` stands for.
enum OpenNode {
  /// What a directory had in it when it was opened.
  typealias Listing = [(name: String, inode: UInt64, type: mode_t)]

  final class Directory: Sendable {
    let listing: Listing

    init(_ listing: Listing) {
      self.listing = listing
    }
  }

  final class File: Sendable {
    private let file: SysfsFile
    private let limit: Int
    /// What the last read from the start gave.
    private let contents = Mutex<[UInt8]>([])

    init(_ file: SysfsFile, isAdministrator: Bool) {
      self.file = file
      limit = (isAdministrator ? nil : file.unprivilegedSize) ?? .max
    }

    /// Reads at most `size` bytes. As `seq_read` of the kernel, what follows a read from the start is the rest
    /// of what there was then.
    func read(at offset: Int, _ size: Int) throws(Errno) -> ArraySlice<UInt8> {
      if let readPart = file.readPart { return try readPart(offset, size)[...] }
      guard let read = file.read else { throw .badFileDescriptor }
      let all: [UInt8]
      if offset == 0 || file.isBinary {
        all = try read()
        contents.withLock { $0 = file.isBinary ? [] : all }
      } else {
        all = contents.withLock { $0 }
      }
      return all.prefix(limit).dropFirst(max(0, offset)).prefix(size)
    }

    /// - Returns: how many bytes were taken; nil for a file that takes its writes whole.
    func writePart(_ bytes: [UInt8], at offset: Int) throws(Errno) -> Int? {
      try file.writePart?(offset, bytes)
    }

    /// Takes what sysfs takes of one write, a page, and acts.
    func write(_ bytes: [UInt8]) throws(Errno) -> SysfsWrite {
      guard let write = file.write else { throw .badFileDescriptor }
      return try write(bytes)
    }
  }

  static func retainedHandle(_ node: some AnyObject & Sendable) -> UInt64 {
    // SAFETY: a reference for libfuse to keep from open to release.
    UInt64(UInt(bitPattern: Unmanaged.passRetained(node).toOpaque()))
  }

  /// What is behind a handle, which is open for as long as the request that has it.
  static func node<Node: AnyObject>(_ handle: UInt64, _: Node.Type) -> Node? {
    // SAFETY: `handle` came from `retainedHandle` with this type: the kernel sends requests of files for
    // files alone, and nothing after the release.
    UnsafeRawPointer(bitPattern: UInt(handle))
      .map { Unmanaged<Node>.fromOpaque($0).takeUnretainedValue() }
  }

  static func release<Node: AnyObject>(_ handle: UInt64, _: Node.Type) {
    // SAFETY: as above; the kernel sends the release once.
    UnsafeRawPointer(bitPattern: UInt(handle)).map { Unmanaged<Node>.fromOpaque($0).release() }
  }
}
