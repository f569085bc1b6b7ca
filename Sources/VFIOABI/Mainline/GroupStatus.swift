extension Mainline {
  /// `struct vfio_group_status`.
  public struct GroupStatus: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}
  }
}

/// `VFIO_GROUP_FLAGS_*`.
extension ArgumentFlags<Mainline.GroupStatus> {
  /// No device of the group has a driver of the host.
  public static var viable: Self { .bit(0) }
  /// The group is in a container.
  public static var containerSet: Self { .bit(1) }
}
