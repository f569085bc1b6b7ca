/// Which requests a file knows. The draft's are the same on all its files; in today's ABI a container, a group
/// and a device use some numbers for different things.
public enum RequestSet: Sendable, CaseIterable {
  case draft2011
  case container
  case group
  case device

  /// What the headers of C call a request; nil where this kind of file knows none of that number.
  public func name(of request: UInt32) -> String? {
    switch self {
    case .draft2011: Draft2011.Request(rawValue: request)?.name
    case .container: Mainline.ContainerRequest(rawValue: request)?.name
    case .group: Mainline.GroupRequest(rawValue: request)?.name
    case .device: Mainline.DeviceRequest(rawValue: request)?.name
    }
  }
}

extension Draft2011.Request {
  fileprivate var name: String {
    switch self {
    case .groupGetInfo: "VFIO_GROUP_GET_INFO"
    case .groupMerge: "VFIO_GROUP_MERGE"
    case .groupUnmerge: "VFIO_GROUP_UNMERGE"
    case .groupGetIOMMUFD: "VFIO_GROUP_GET_IOMMU_FD"
    case .groupGetDeviceFD: "VFIO_GROUP_GET_DEVICE_FD"
    case .iommuGetInfo: "VFIO_IOMMU_GET_INFO"
    case .iommuMapDMA: "VFIO_IOMMU_MAP_DMA"
    case .iommuUnmapDMA: "VFIO_IOMMU_UNMAP_DMA"
    case .deviceGetInfo: "VFIO_DEVICE_GET_INFO"
    case .deviceGetRegionInfo: "VFIO_DEVICE_GET_REGION_INFO"
    case .deviceGetIRQInfo: "VFIO_DEVICE_GET_IRQ_INFO"
    case .deviceSetIRQEventfds: "VFIO_DEVICE_SET_IRQ_EVENTFDS"
    case .deviceUnmaskIRQ: "VFIO_DEVICE_UNMASK_IRQ"
    case .deviceSetUnmaskIRQEventfds: "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS"
    case .deviceReset: "VFIO_DEVICE_RESET"
    }
  }
}

extension Mainline.ContainerRequest {
  fileprivate var name: String {
    switch self {
    case .getAPIVersion: "VFIO_GET_API_VERSION"
    case .checkExtension: "VFIO_CHECK_EXTENSION"
    case .setIOMMU: "VFIO_SET_IOMMU"
    case .iommuGetInfo: "VFIO_IOMMU_GET_INFO"
    case .iommuMapDMA: "VFIO_IOMMU_MAP_DMA"
    case .iommuUnmapDMA: "VFIO_IOMMU_UNMAP_DMA"
    case .iommuDirtyPages: "VFIO_IOMMU_DIRTY_PAGES"
    }
  }
}

extension Mainline.GroupRequest {
  fileprivate var name: String {
    switch self {
    case .getStatus: "VFIO_GROUP_GET_STATUS"
    case .setContainer: "VFIO_GROUP_SET_CONTAINER"
    case .unsetContainer: "VFIO_GROUP_UNSET_CONTAINER"
    case .getDeviceFD: "VFIO_GROUP_GET_DEVICE_FD"
    }
  }
}

extension Mainline.DeviceRequest {
  fileprivate var name: String {
    switch self {
    case .getInfo: "VFIO_DEVICE_GET_INFO"
    case .getRegionInfo: "VFIO_DEVICE_GET_REGION_INFO"
    case .getIRQInfo: "VFIO_DEVICE_GET_IRQ_INFO"
    case .setIRQs: "VFIO_DEVICE_SET_IRQS"
    case .reset: "VFIO_DEVICE_RESET"
    case .getPCIHotResetInfo: "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"
    case .pciHotReset: "VFIO_DEVICE_PCI_HOT_RESET"
    case .ioeventfd: "VFIO_DEVICE_IOEVENTFD"
    case .feature: "VFIO_DEVICE_FEATURE"
    }
  }
}
