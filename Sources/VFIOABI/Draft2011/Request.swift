extension Draft2011 {
  /// The ioctl request numbers: type `;`, base 100.
  ///
  /// Most encode no size, so that structures can grow; two do.
  public enum Request: UInt32, Sendable, CaseIterable {
    /// `VFIO_GROUP_GET_INFO`, a `GroupInfo`.
    case groupGetInfo = 0x3b64
    /// `VFIO_GROUP_MERGE`, a pointer to an `Int32` group descriptor.
    case groupMerge = 0x4004_3b65
    /// `VFIO_GROUP_UNMERGE`, no argument.
    case groupUnmerge = 0x3b66
    /// `VFIO_GROUP_GET_IOMMU_FD`, no argument.
    case groupGetIOMMUFD = 0x3b67
    /// `VFIO_GROUP_GET_DEVICE_FD`, a NUL-terminated name of at most a page.
    case groupGetDeviceFD = 0x4001_3b68
    /// `VFIO_IOMMU_GET_INFO`, an `IOMMUInfo`.
    case iommuGetInfo = 0x3b69
    /// `VFIO_IOMMU_MAP_DMA`, a `DMAMap`.
    case iommuMapDMA = 0x3b6a
    /// `VFIO_IOMMU_UNMAP_DMA`, a `DMAUnmap`.
    case iommuUnmapDMA = 0x3b6b
    /// `VFIO_DEVICE_GET_INFO`, a `DeviceInfo`.
    case deviceGetInfo = 0x3b6c
    /// `VFIO_DEVICE_GET_REGION_INFO`, a `RegionInfo`.
    case deviceGetRegionInfo = 0x3b6d
    /// `VFIO_DEVICE_GET_IRQ_INFO`, an `IRQInfo`.
    case deviceGetIRQInfo = 0x3b6e
    /// `VFIO_DEVICE_SET_IRQ_EVENTFDS`, an `IRQEventfds` and its descriptors.
    case deviceSetIRQEventfds = 0x3b6f
    /// `VFIO_DEVICE_UNMASK_IRQ`, an `UnmaskIRQ`.
    case deviceUnmaskIRQ = 0x3b70
    /// `VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS`, an `IRQEventfds` and its descriptors.
    case deviceSetUnmaskIRQEventfds = 0x3b71
    /// `VFIO_DEVICE_RESET`, no argument.
    case deviceReset = 0x3b72
  }
}
