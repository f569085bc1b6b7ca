import CVFIOLinux
import Testing
import VFIOABI

/// Our numbers and layouts of today's API against the machine's own <linux/vfio.h>.
@Suite struct MainlineHeaderTests {
  @Test func requests() {
    same(Mainline.ContainerRequest.allCases.map(\.rawValue), cvfio_container_requests)
    same(Mainline.GroupRequest.allCases.map(\.rawValue), cvfio_group_requests)
    same(Mainline.DeviceRequest.allCases.map(\.rawValue), cvfio_device_requests)
    same(Mainline.Extension.allCases.map { UInt32($0.rawValue) }, cvfio_extensions)
    #expect(Mainline.apiVersion == VFIO_API_VERSION)
  }

  @Test func flags() {
    func bits<Argument>(_ flags: [ArgumentFlags<Argument>]) -> [UInt32] { flags.map(\.rawValue) }
    let ours: [[UInt32]] = [
      bits([.viable, .containerSet] as [Mainline.GroupStatus.Flags]),
      bits([.reset, .pci] as [Mainline.DeviceInfo.Flags]),
      bits([.read, .write, .mmap, .caps] as [Mainline.RegionInfo.Flags]),
      bits([.eventfd, .maskable, .automasked, .noResize] as [Mainline.IRQInfo.Flags]),
      bits([.none, .bool, .eventfd, .mask, .unmask, .trigger] as [Mainline.IRQSet.Flags]),
      bits([.sizes] as [Mainline.IOEventFD.Flags]),
      bits([.feature, .get, .set, .probe] as [Mainline.DeviceFeature.Flags]),
      bits([.pgsizes, .caps] as [Mainline.IOMMUInfo.Flags]),
      bits([.read, .write, .vaddr] as [Mainline.DMAMap.Flags]),
      bits([.getDirtyBitmap, .all, .vaddr] as [Mainline.DMAUnmap.Flags]),
      bits([.start, .stop, .getBitmap] as [Mainline.DirtyPages.Flags]),
    ]
    same(ours.flatMap(\.self), cvfio_flags)
  }

  @Test func groupStatus() {
    same(Mainline.GroupStatus.self, vfio_group_status.self)
    same(\Mainline.GroupStatus.argsz, \vfio_group_status.argsz)
    same(\Mainline.GroupStatus.flags, \vfio_group_status.flags)
  }

  @Test func iommuInfo() {
    same(\Mainline.IOMMUInfo.argsz, \vfio_iommu_type1_info.argsz)
    same(\Mainline.IOMMUInfo.flags, \vfio_iommu_type1_info.flags)
    same(\Mainline.IOMMUInfo.iovaPgsizes, \vfio_iommu_type1_info.iova_pgsizes)
    #expect(
      Mainline.IOMMUInfo.capOffset
        == MemoryLayout<vfio_iommu_type1_info>.offset(of: \.cap_offset))
    #expect(Mainline.IOMMUInfo.size == Mainline.IOMMUInfo.capOffset)
    #expect(Mainline.IOMMUInfo.fullSize == MemoryLayout<vfio_iommu_type1_info>.stride)
  }

  @Test func dmaMap() {
    same(Mainline.DMAMap.self, vfio_iommu_type1_dma_map.self)
    same(\Mainline.DMAMap.argsz, \vfio_iommu_type1_dma_map.argsz)
    same(\Mainline.DMAMap.flags, \vfio_iommu_type1_dma_map.flags)
    same(\Mainline.DMAMap.vaddr, \vfio_iommu_type1_dma_map.vaddr)
    same(\Mainline.DMAMap.iova, \vfio_iommu_type1_dma_map.iova)
    same(\Mainline.DMAMap.size, \vfio_iommu_type1_dma_map.size)
  }

  @Test func dmaUnmap() {
    same(Mainline.DMAUnmap.self, vfio_iommu_type1_dma_unmap.self)
    same(\Mainline.DMAUnmap.argsz, \vfio_iommu_type1_dma_unmap.argsz)
    same(\Mainline.DMAUnmap.flags, \vfio_iommu_type1_dma_unmap.flags)
    same(\Mainline.DMAUnmap.iova, \vfio_iommu_type1_dma_unmap.iova)
    same(\Mainline.DMAUnmap.size, \vfio_iommu_type1_dma_unmap.size)
  }

  @Test func dirtyPages() {
    same(Mainline.DirtyPages.self, vfio_iommu_type1_dirty_bitmap.self)
    same(\Mainline.DirtyPages.argsz, \vfio_iommu_type1_dirty_bitmap.argsz)
    same(\Mainline.DirtyPages.flags, \vfio_iommu_type1_dirty_bitmap.flags)
    same(Mainline.DirtyRange.self, vfio_iommu_type1_dirty_bitmap_get.self)
    same(\Mainline.DirtyRange.iova, \vfio_iommu_type1_dirty_bitmap_get.iova)
    same(\Mainline.DirtyRange.size, \vfio_iommu_type1_dirty_bitmap_get.size)
    same(\Mainline.DirtyRange.bitmap, \vfio_iommu_type1_dirty_bitmap_get.bitmap)
    same(Mainline.Bitmap.self, vfio_bitmap.self)
    same(\Mainline.Bitmap.pgsize, \vfio_bitmap.pgsize)
    same(\Mainline.Bitmap.size, \vfio_bitmap.size)
    same(\Mainline.Bitmap.data, \vfio_bitmap.data)
  }

  @Test func deviceInfo() {
    same(\Mainline.DeviceInfo.argsz, \linux_vfio_device_info.argsz)
    same(\Mainline.DeviceInfo.flags, \linux_vfio_device_info.flags)
    same(\Mainline.DeviceInfo.numRegions, \linux_vfio_device_info.num_regions)
    same(\Mainline.DeviceInfo.numIRQs, \linux_vfio_device_info.num_irqs)
    #expect(
      Mainline.DeviceInfo.capOffset == MemoryLayout<linux_vfio_device_info>.offset(of: \.cap_offset)
    )
  }

  @Test func regionInfo() {
    same(Mainline.RegionInfo.self, linux_vfio_region_info.self)
    same(\Mainline.RegionInfo.argsz, \linux_vfio_region_info.argsz)
    same(\Mainline.RegionInfo.flags, \linux_vfio_region_info.flags)
    same(\Mainline.RegionInfo.index, \linux_vfio_region_info.index)
    same(\Mainline.RegionInfo.capOffset, \linux_vfio_region_info.cap_offset)
    same(\Mainline.RegionInfo.size, \linux_vfio_region_info.size)
    same(\Mainline.RegionInfo.offset, \linux_vfio_region_info.offset)
    #expect(Mainline.CapabilityChain.headerSize == MemoryLayout<vfio_info_cap_header>.size)
  }

  @Test func interrupts() {
    same(Mainline.IRQInfo.self, linux_vfio_irq_info.self)
    same(\Mainline.IRQInfo.index, \linux_vfio_irq_info.index)
    same(\Mainline.IRQInfo.count, \linux_vfio_irq_info.count)
    same(Mainline.IRQSet.self, vfio_irq_set.self)
    same(\Mainline.IRQSet.argsz, \vfio_irq_set.argsz)
    same(\Mainline.IRQSet.flags, \vfio_irq_set.flags)
    same(\Mainline.IRQSet.index, \vfio_irq_set.index)
    same(\Mainline.IRQSet.start, \vfio_irq_set.start)
    same(\Mainline.IRQSet.count, \vfio_irq_set.count)
    #expect(VFIO_PCI_NUM_IRQS == Mainline.PCIInterrupt.allCases.count)
    #expect(VFIO_PCI_NUM_REGIONS == Mainline.pciRegions)
  }

  @Test func hotReset() {
    same(Mainline.HotResetInfo.self, vfio_pci_hot_reset_info.self)
    same(\Mainline.HotResetInfo.count, \vfio_pci_hot_reset_info.count)
    same(Mainline.DependentDevice.self, vfio_pci_dependent_device.self)
    same(\Mainline.DependentDevice.groupID, \vfio_pci_dependent_device.group_id)
    same(\Mainline.DependentDevice.segment, \vfio_pci_dependent_device.segment)
    same(\Mainline.DependentDevice.bus, \vfio_pci_dependent_device.bus)
    same(\Mainline.DependentDevice.devfn, \vfio_pci_dependent_device.devfn)
    same(Mainline.HotReset.self, vfio_pci_hot_reset.self)
    same(\Mainline.HotReset.flags, \vfio_pci_hot_reset.flags)
    same(\Mainline.HotReset.count, \vfio_pci_hot_reset.count)
  }

  @Test func ioeventfdAndFeature() {
    same(\Mainline.IOEventFD.argsz, \vfio_device_ioeventfd.argsz)
    same(\Mainline.IOEventFD.flags, \vfio_device_ioeventfd.flags)
    same(\Mainline.IOEventFD.offset, \vfio_device_ioeventfd.offset)
    same(\Mainline.IOEventFD.data, \vfio_device_ioeventfd.data)
    same(\Mainline.IOEventFD.fd, \vfio_device_ioeventfd.fd)
    same(Mainline.DeviceFeature.self, vfio_device_feature.self)
    same(\Mainline.DeviceFeature.flags, \vfio_device_feature.flags)
    same(Mainline.LowPowerEntry.self, vfio_device_low_power_entry_with_wakeup.self)
  }

  /// As the kernel lays them out: back to back, each pointing to the next.
  @Test func capabilities() {
    var chain = Mainline.CapabilityChain()
    #expect(chain.isEmpty)
    chain.append(id: 2, payload: [1, 2, 3, 4])
    chain.append(id: 3, version: 7)
    #expect(chain.size == 20)
    #expect(
      chain.bytes(at: 24)
        == [2, 0, 1, 0, 36, 0, 0, 0, 1, 2, 3, 4] + [3, 0, 7, 0, 0, 0, 0, 0])
  }
}
