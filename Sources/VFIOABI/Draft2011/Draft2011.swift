/// The ABI of the 2011 VFIO document: numbers, structures and flags, as pure values.
///
/// Source: "VFIO - Virtual Function I/O", Documentation/vfio.txt of December 2011, and the
/// include/linux/vfio.h that went with it.
public enum Draft2011 {
  /// Bytes of a page; also the most that a device name may take, its NUL included.
  public static let pageSize: UInt64 = 4096
}

/// An ioctl argument that begins with its own size and its flags.
///
/// The stored properties have the order and types of the C structure; both lay out alike as long as
/// no field needs padding, which a test checks.
public protocol SizedArgument: BitwiseCopyable, Sendable {
  /// All fields zero.
  init()

  /// Bytes of the structure as the client knows it, 0 where it did not say.
  var argsz: UInt32 { get }
}

extension SizedArgument {
  /// Bytes of the structure in this ABI, and the least `argsz` that is accepted.
  public static var size: Int { MemoryLayout<Self>.size }

  /// Whether `argsz` covers the structure.
  public var isComplete: Bool { Int(argsz) >= Self.size }
}
