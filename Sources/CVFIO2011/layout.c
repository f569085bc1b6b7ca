/*
 * The numbers that the ABI is, spelled out a second time: a header that drifts
 * from them does not compile. Nothing here ends up in the program.
 */
#include <stddef.h>

#include "vfio-2011/linux/vfio.h"

#define NUMBER(name, value) \
	_Static_assert((name) == (value), #name " is " #value)
#define SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " has " #bytes " bytes")
#define FIELD(type, field, bytes, at) \
	_Static_assert(sizeof(((struct type *)0)->field) == (bytes) && \
		       offsetof(struct type, field) == (at), \
		       #type "." #field " has " #bytes " bytes at " #at)

NUMBER(VFIO_TYPE, 0x3b);
NUMBER(VFIO_BASE, 0x64);

NUMBER(VFIO_GROUP_GET_INFO, 0x3b64);
NUMBER(VFIO_GROUP_MERGE, 0x40043b65);
NUMBER(VFIO_GROUP_UNMERGE, 0x3b66);
NUMBER(VFIO_GROUP_GET_IOMMU_FD, 0x3b67);
NUMBER(VFIO_GROUP_GET_DEVICE_FD, 0x40013b68);
NUMBER(VFIO_IOMMU_GET_INFO, 0x3b69);
NUMBER(VFIO_IOMMU_MAP_DMA, 0x3b6a);
NUMBER(VFIO_IOMMU_UNMAP_DMA, 0x3b6b);
NUMBER(VFIO_DEVICE_GET_INFO, 0x3b6c);
NUMBER(VFIO_DEVICE_GET_REGION_INFO, 0x3b6d);
NUMBER(VFIO_DEVICE_GET_IRQ_INFO, 0x3b6e);
NUMBER(VFIO_DEVICE_SET_IRQ_EVENTFDS, 0x3b6f);
NUMBER(VFIO_DEVICE_UNMASK_IRQ, 0x3b70);
NUMBER(VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS, 0x3b71);
NUMBER(VFIO_DEVICE_RESET, 0x3b72);

SIZE(vfio_group_info, 8);
FIELD(vfio_group_info, argsz, 4, 0);
FIELD(vfio_group_info, flags, 4, 4);
NUMBER(VFIO_GROUP_FLAGS_VIABLE, 0x1);
NUMBER(VFIO_GROUP_FLAGS_MM_LOCKED, 0x2);

SIZE(vfio_iommu_info, 32);
FIELD(vfio_iommu_info, argsz, 4, 0);
FIELD(vfio_iommu_info, flags, 4, 4);
FIELD(vfio_iommu_info, iova_max, 8, 8);
FIELD(vfio_iommu_info, iova_min, 8, 16);
FIELD(vfio_iommu_info, pgsize_bitmap, 8, 24);

SIZE(vfio_dma_map, 32);
FIELD(vfio_dma_map, argsz, 4, 0);
FIELD(vfio_dma_map, flags, 4, 4);
FIELD(vfio_dma_map, vaddr, 8, 8);
FIELD(vfio_dma_map, iova, 8, 16);
FIELD(vfio_dma_map, size, 8, 24);
NUMBER(VFIO_DMA_MAP_FLAG_READ, 0x1);
NUMBER(VFIO_DMA_MAP_FLAG_WRITE, 0x2);

SIZE(vfio_dma_unmap, 24);
FIELD(vfio_dma_unmap, argsz, 4, 0);
FIELD(vfio_dma_unmap, flags, 4, 4);
FIELD(vfio_dma_unmap, iova, 8, 8);
FIELD(vfio_dma_unmap, size, 8, 16);

SIZE(vfio_device_info, 16);
FIELD(vfio_device_info, argsz, 4, 0);
FIELD(vfio_device_info, flags, 4, 4);
FIELD(vfio_device_info, num_regions, 4, 8);
FIELD(vfio_device_info, num_irqs, 4, 12);
NUMBER(VFIO_DEVICE_FLAGS_RESET, 0x1);
NUMBER(VFIO_DEVICE_FLAGS_PCI, 0x2);

SIZE(vfio_region_info, 32);
FIELD(vfio_region_info, argsz, 4, 0);
FIELD(vfio_region_info, flags, 4, 4);
FIELD(vfio_region_info, index, 4, 8);
FIELD(vfio_region_info, resv, 4, 12);
FIELD(vfio_region_info, size, 8, 16);
FIELD(vfio_region_info, offset, 8, 24);
NUMBER(VFIO_REGION_INFO_FLAG_MMAP, 0x1);
NUMBER(VFIO_REGION_INFO_FLAG_RO, 0x2);

SIZE(vfio_irq_info, 16);
FIELD(vfio_irq_info, argsz, 4, 0);
FIELD(vfio_irq_info, flags, 4, 4);
FIELD(vfio_irq_info, index, 4, 8);
FIELD(vfio_irq_info, count, 4, 12);
NUMBER(VFIO_IRQ_INFO_FLAG_LEVEL, 0x1);

/* eventfds has no size of its own; its elements do. */
SIZE(vfio_irq_eventfds, 16);
FIELD(vfio_irq_eventfds, argsz, 4, 0);
FIELD(vfio_irq_eventfds, flags, 4, 4);
FIELD(vfio_irq_eventfds, index, 4, 8);
FIELD(vfio_irq_eventfds, count, 4, 12);
FIELD(vfio_irq_eventfds, eventfds[0], 4, 16);
FIELD(vfio_irq_eventfds, eventfds[1], 4, 20);

SIZE(vfio_unmask_irq, 16);
FIELD(vfio_unmask_irq, argsz, 4, 0);
FIELD(vfio_unmask_irq, flags, 4, 4);
FIELD(vfio_unmask_irq, index, 4, 8);
FIELD(vfio_unmask_irq, subindex, 4, 12);

NUMBER(VFIO_PCI_BAR0_REGION_INDEX, 0);
NUMBER(VFIO_PCI_BAR1_REGION_INDEX, 1);
NUMBER(VFIO_PCI_BAR2_REGION_INDEX, 2);
NUMBER(VFIO_PCI_BAR3_REGION_INDEX, 3);
NUMBER(VFIO_PCI_BAR4_REGION_INDEX, 4);
NUMBER(VFIO_PCI_BAR5_REGION_INDEX, 5);
NUMBER(VFIO_PCI_ROM_REGION_INDEX, 6);
NUMBER(VFIO_PCI_CONFIG_REGION_INDEX, 7);
NUMBER(VFIO_PCI_NUM_REGIONS, 8);
NUMBER(VFIO_PCI_INTX_IRQ_INDEX, 0);
NUMBER(VFIO_PCI_MSI_IRQ_INDEX, 1);
NUMBER(VFIO_PCI_MSIX_IRQ_INDEX, 2);
NUMBER(VFIO_PCI_NUM_IRQS, 3);
