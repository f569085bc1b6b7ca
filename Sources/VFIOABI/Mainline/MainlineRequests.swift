extension Mainline {
  /// The ioctl request numbers of a container: type `;`, base 100, no sizes.
  public enum ContainerRequest: UInt32, Sendable, CaseIterable {
    /// `VFIO_GET_API_VERSION`, no argument.
    case getAPIVersion = 0x3b64
    /// `VFIO_CHECK_EXTENSION`, an `Extension` by value.
    case checkExtension = 0x3b65
    /// `VFIO_SET_IOMMU`, an `Extension` by value.
    case setIOMMU = 0x3b66
    /// `VFIO_IOMMU_GET_INFO`, an `IOMMUInfo`.
    case iommuGetInfo = 0x3b70
    /// `VFIO_IOMMU_MAP_DMA`, a `DMAMap`.
    case iommuMapDMA = 0x3b71
    /// `VFIO_IOMMU_UNMAP_DMA`, a `DMAUnmap`, and a `Bitmap` where its flags say so.
    case iommuUnmapDMA = 0x3b72
    /// `VFIO_IOMMU_DIRTY_PAGES`, a `DirtyPages`, and a `DirtyRange` where its flags say so.
    case iommuDirtyPages = 0x3b75
  }

  /// The ioctl request numbers of a group.
  public enum GroupRequest: UInt32, Sendable, CaseIterable {
    /// `VFIO_GROUP_GET_STATUS`, a `GroupStatus`.
    case getStatus = 0x3b67
    /// `VFIO_GROUP_SET_CONTAINER`, a pointer to an `Int32` container descriptor.
    case setContainer = 0x3b68
    /// `VFIO_GROUP_UNSET_CONTAINER`, no argument.
    case unsetContainer = 0x3b69
    /// `VFIO_GROUP_GET_DEVICE_FD`, a NUL-terminated name of at most a page.
    case getDeviceFD = 0x3b6a
  }

  /// The ioctl request numbers of a device; some are those of other things on containers.
  public enum DeviceRequest: UInt32, Sendable, CaseIterable {
    /// `VFIO_DEVICE_GET_INFO`, a `DeviceInfo`.
    case getInfo = 0x3b6b
    /// `VFIO_DEVICE_GET_REGION_INFO`, a `RegionInfo` and its capabilities.
    case getRegionInfo = 0x3b6c
    /// `VFIO_DEVICE_GET_IRQ_INFO`, an `IRQInfo`.
    case getIRQInfo = 0x3b6d
    /// `VFIO_DEVICE_SET_IRQS`, an `IRQSet` and its data.
    case setIRQs = 0x3b6e
    /// `VFIO_DEVICE_RESET`, no argument.
    case reset = 0x3b6f
    /// `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO`, a `HotResetInfo` and its devices.
    case getPCIHotResetInfo = 0x3b70
    /// `VFIO_DEVICE_PCI_HOT_RESET`, a `HotReset` and its group descriptors.
    case pciHotReset = 0x3b71
    /// `VFIO_DEVICE_IOEVENTFD`, an `IOEventFD`.
    case ioeventfd = 0x3b74
    /// `VFIO_DEVICE_FEATURE`, a `DeviceFeature` and its data.
    case feature = 0x3b75
  }
}
