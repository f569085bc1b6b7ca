import CVFIO2011
import Testing
import VFIOABI

/// Our layouts against the C header that clients are compiled with.
@Suite struct HeaderTests {
  @Test func groupInfo() {
    same(Draft2011.GroupInfo.self, vfio_group_info.self)
    same(\Draft2011.GroupInfo.argsz, \vfio_group_info.argsz)
    same(\Draft2011.GroupInfo.flags, \vfio_group_info.flags)
  }

  @Test func iommuinfo() {
    same(Draft2011.IOMMUInfo.self, vfio_iommu_info.self)
    same(\Draft2011.IOMMUInfo.argsz, \vfio_iommu_info.argsz)
    same(\Draft2011.IOMMUInfo.flags, \vfio_iommu_info.flags)
    same(\Draft2011.IOMMUInfo.iovaMax, \vfio_iommu_info.iova_max)
    same(\Draft2011.IOMMUInfo.iovaMin, \vfio_iommu_info.iova_min)
    same(\Draft2011.IOMMUInfo.pgsizeBitmap, \vfio_iommu_info.pgsize_bitmap)
  }

  @Test func dmaMap() {
    same(Draft2011.DMAMap.self, vfio_dma_map.self)
    same(\Draft2011.DMAMap.argsz, \vfio_dma_map.argsz)
    same(\Draft2011.DMAMap.flags, \vfio_dma_map.flags)
    same(\Draft2011.DMAMap.vaddr, \vfio_dma_map.vaddr)
    same(\Draft2011.DMAMap.iova, \vfio_dma_map.iova)
    same(\Draft2011.DMAMap.size, \vfio_dma_map.size)
  }

  @Test func dmaUnmap() {
    same(Draft2011.DMAUnmap.self, vfio_dma_unmap.self)
    same(\Draft2011.DMAUnmap.argsz, \vfio_dma_unmap.argsz)
    same(\Draft2011.DMAUnmap.flags, \vfio_dma_unmap.flags)
    same(\Draft2011.DMAUnmap.iova, \vfio_dma_unmap.iova)
    same(\Draft2011.DMAUnmap.size, \vfio_dma_unmap.size)
  }

  @Test func deviceInfo() {
    same(Draft2011.DeviceInfo.self, vfio_device_info.self)
    same(\Draft2011.DeviceInfo.argsz, \vfio_device_info.argsz)
    same(\Draft2011.DeviceInfo.flags, \vfio_device_info.flags)
    same(\Draft2011.DeviceInfo.numRegions, \vfio_device_info.num_regions)
    same(\Draft2011.DeviceInfo.numIRQs, \vfio_device_info.num_irqs)
  }

  @Test func regionInfo() {
    same(Draft2011.RegionInfo.self, vfio_region_info.self)
    same(\Draft2011.RegionInfo.argsz, \vfio_region_info.argsz)
    same(\Draft2011.RegionInfo.flags, \vfio_region_info.flags)
    same(\Draft2011.RegionInfo.index, \vfio_region_info.index)
    same(\Draft2011.RegionInfo.resv, \vfio_region_info.resv)
    same(\Draft2011.RegionInfo.size, \vfio_region_info.size)
    same(\Draft2011.RegionInfo.offset, \vfio_region_info.offset)
  }

  @Test func irqinfo() {
    same(Draft2011.IRQInfo.self, vfio_irq_info.self)
    same(\Draft2011.IRQInfo.argsz, \vfio_irq_info.argsz)
    same(\Draft2011.IRQInfo.flags, \vfio_irq_info.flags)
    same(\Draft2011.IRQInfo.index, \vfio_irq_info.index)
    same(\Draft2011.IRQInfo.count, \vfio_irq_info.count)
  }

  @Test func irqeventfds() {
    same(Draft2011.IRQEventfds.self, vfio_irq_eventfds.self)
    same(\Draft2011.IRQEventfds.argsz, \vfio_irq_eventfds.argsz)
    same(\Draft2011.IRQEventfds.flags, \vfio_irq_eventfds.flags)
    same(\Draft2011.IRQEventfds.index, \vfio_irq_eventfds.index)
    same(\Draft2011.IRQEventfds.count, \vfio_irq_eventfds.count)
  }

  @Test func unmaskIRQ() {
    same(Draft2011.UnmaskIRQ.self, vfio_unmask_irq.self)
    same(\Draft2011.UnmaskIRQ.argsz, \vfio_unmask_irq.argsz)
    same(\Draft2011.UnmaskIRQ.flags, \vfio_unmask_irq.flags)
    same(\Draft2011.UnmaskIRQ.index, \vfio_unmask_irq.index)
    same(\Draft2011.UnmaskIRQ.subindex, \vfio_unmask_irq.subindex)
  }
}
