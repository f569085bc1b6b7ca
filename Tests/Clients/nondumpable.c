/*
 * A process that nobody may look into, as a setuid program or one that handles
 * keys makes itself, uses a group like any other.
 */
#include "check.h"
#include "client.h"

#include <sys/eventfd.h>

int main(void)
{
	int group, iommu, device, event = eventfd(0, EFD_NONBLOCK);
	struct vfio_region_info region = { .argsz = sizeof(region) };
	char *memory = new_pages(1);

	check_start(60);
	check_topic = "not dumpable";
	CHECK_OK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	group = open_group();
	NEED(group >= 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	iommu = get_iommu(group);
	CHECK(iommu >= 0);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0x10000, PAGE));
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(region.size, EDU_BAR_SIZE);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	CHECK_OK(set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, event));
	CHECK_OK(clear_irq(device, VFIO_PCI_INTX_IRQ_INDEX));
	CHECK_OK(unmap_dma(iommu, 0x10000, PAGE));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	close(device);
	close(iommu);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
