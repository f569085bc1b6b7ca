/// The ABI of the 2011 VFIO document: numbers, structures and flags, as pure values.
///
/// Source: "VFIO - Virtual Function I/O", Documentation/vfio.txt of December 2011, and the
/// include/linux/vfio.h that went with it.
public enum Draft2011 {
  /// Bytes of a page; also the most that a device name may take, its NUL included.
  public static let pageSize: UInt64 = 4096
}
