extension Draft2011 {
  /// `struct vfio_group_info`.
  public struct GroupInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}

    /// `VFIO_GROUP_FLAGS_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// Every device of the group is bound to its VFIO bus driver.
      public static let viable = Flags(rawValue: 1 << 0)
      /// An address space owns the group.
      public static let mmLocked = Flags(rawValue: 1 << 1)

      public static let all: Flags = [.viable, .mmLocked]
    }
  }
}
