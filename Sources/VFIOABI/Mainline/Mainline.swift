/// The ABI of today's kernels: containers, groups with a number for a name, type1 IOMMUs and vfio-pci.
///
/// Source: include/uapi/linux/vfio.h of Linux 6.1. Structures are those up to the least `argsz` that the
/// kernel takes; what may follow has a constant or a type of its own.
public enum Mainline {
  /// `VFIO_API_VERSION`.
  public static let apiVersion: Int32 = 0

  /// What `VFIO_CHECK_EXTENSION` asks for and, the types among them, `VFIO_SET_IOMMU` sets.
  public enum Extension: UInt64, Sendable, CaseIterable {
    case type1 = 1
    case spaprTCE
    case type1v2
    case dmaCacheCoherent
    case eeh
    case type1Nesting
    case spaprTCEv2
    case noIOMMU
    case unmapAll
    case updateVaddr
  }
}
