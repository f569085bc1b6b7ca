/// Which groups a client may merge, and whether it has to ask.
///
/// The document: "Some platforms may not support it at all, others may only enable merging of sufficiently
/// similar groups."
public struct Merging: Sendable {
  public enum Policy: String, Hashable, Sendable, CaseIterable {
    /// The platform has no merging.
    case never
    /// Groups whose IOMMUs are alike in cache coherency, as in the draft's implementation: a mapping is made
    /// for the one kind or for the other.
    case similar
    case any
  }

  public var policy: Policy
  /// The groups whose DMA is not coherent with the processors' caches.
  public var noncoherent: Set<GroupID>
  /// Whether a group joins what its user has in use already, before the first IOMMU or device descriptor
  /// of it is handed out: the proposal of the document's reviewer.
  public var isAutomatic: Bool

  public init(
    policy: Policy = .similar, noncoherent: Set<GroupID> = [], isAutomatic: Bool = false
  ) {
    self.policy = policy
    self.noncoherent = noncoherent
    self.isAutomatic = isAutomatic
  }

  /// Whether all these groups can share one IOMMU object.
  func allows(_ groups: some Sequence<GroupID>) -> Bool {
    switch policy {
    case .never: false
    case .similar: Set(groups.map(noncoherent.contains)).count <= 1
    case .any: true
    }
  }
}
