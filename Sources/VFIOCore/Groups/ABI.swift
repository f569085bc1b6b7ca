/// The two interfaces that clients can use groups by. A group is used through one at a time.
public enum ABI: Hashable, Sendable {
  /// That of the document: `/dev/vfio/pci:240`.
  case draft2011
  /// Today's: `/dev/vfio/vfio` and `/dev/vfio/26`.
  case mainline
}
