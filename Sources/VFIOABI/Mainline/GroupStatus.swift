extension Mainline {
  /// `struct vfio_group_status`.
  public struct GroupStatus: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}

    /// `VFIO_GROUP_FLAGS_*`.
    public struct Flags: OptionSet, BitwiseCopyable, Sendable {
      public let rawValue: UInt32

      public init(rawValue: UInt32) {
        self.rawValue = rawValue
      }

      /// No device of the group has a driver of the host.
      public static let viable = Flags(rawValue: 1 << 0)
      /// The group is in a container.
      public static let containerSet = Flags(rawValue: 1 << 1)
    }
  }
}
