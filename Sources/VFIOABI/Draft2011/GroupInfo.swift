extension Draft2011 {
  /// `struct vfio_group_info`.
  public struct GroupInfo: SizedArgument {
    public var argsz: UInt32 = 0
    public var flags: Flags = []

    public init() {}
  }
}

/// `VFIO_GROUP_FLAGS_*`.
extension ArgumentFlags<Draft2011.GroupInfo> {
  /// Every device of the group is bound to its VFIO bus driver.
  public static var viable: Self { .bit(0) }
  /// An address space owns the group.
  public static var mmLocked: Self { .bit(1) }

  public static var all: Self { [.viable, .mmLocked] }
}
