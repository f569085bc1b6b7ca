/// Whose rules a domain keeps for maps and unmaps.
public enum MappingRules: Sendable, CaseIterable {
  /// The draft ABI: an unmap takes out what it covers and cuts mappings; those that continue each other are one.
  case draft2011
  /// `VFIO_TYPE1_IOMMU`: an unmap takes out the mappings that begin in its range, whole; where the first
  /// one begins before it, it takes out none (drivers/vfio/vfio_iommu_type1.c, `vfio_dma_do_unmap`).
  case type1
  /// `VFIO_TYPE1v2_IOMMU`: an unmap takes out whole mappings, and one that would cut fails.
  case type1v2
}
