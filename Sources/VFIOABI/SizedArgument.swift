/// An ioctl argument that begins with its own size and its flags, in both ABIs.
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

  /// The flags that go with the structure.
  public typealias Flags = ArgumentFlags<Self>
}

/// The flags of one kind of argument, which says which there are.
public struct ArgumentFlags<Argument>: OptionSet, BitwiseCopyable, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  static func bit(_ number: Int) -> Self { Self(rawValue: 1 << number) }
}
