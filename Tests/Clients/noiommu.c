/*
 * Today's API on a group without an IOMMU, which takes CAP_SYS_RAWIO. On
 * topologies/noiommu.yaml; `noiommu refused` for whoever has not got that.
 */
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include </usr/include/linux/vfio.h>

#define NODE	"/dev/vfio/noiommu-0"
#define DEVICE	"0000:00:04.0"

static void check_refused(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR);

	check_topic = "refused";
	CHECK_ERR(open(NODE, O_RDWR), EPERM);
	CHECK_EQ(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
	close(container);
}

static void check_container(int container, int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };

	check_topic = "container";
	CHECK_OK(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	CHECK_EQ(status.flags, VFIO_GROUP_FLAGS_VIABLE);
	CHECK_OK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	CHECK_EQ(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
	CHECK_EQ(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 0);
	CHECK_ERR(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), ENODEV);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, DEVICE), EINVAL);
	CHECK_OK(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	CHECK_ERR(ioctl(container, VFIO_IOMMU_MAP_DMA, &map), ENOTTY);
}

static void check_mixing(int container)
{
	int group = open("/dev/vfio/1", O_RDWR);

	check_topic = "mixing";
	NEED(group >= 0);
	CHECK_ERR(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), EPERM);
	close(group);
}

static void check_device(int group)
{
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct {
		struct vfio_irq_set set;
		int event;
	} irq = { { sizeof(irq), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		    VFIO_PCI_MSI_IRQ_INDEX, 0, 1 }, eventfd(0, EFD_NONBLOCK) };
	uint32_t id = 0;
	uint64_t count = 0;
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, DEVICE);

	check_topic = "device";
	NEED(device >= 0);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(pread(device, &id, 4, region.offset), 4);
	CHECK_EQ(id, 0x010000edu);
	CHECK_OK(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq));
	irq.set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	irq.set.argsz = sizeof(irq.set);
	CHECK_OK(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq));
	CHECK_EQ(read(irq.event, &count, 8), 8);
	CHECK_EQ(count, 1);
	close(device);
	close(irq.event);
}

int main(int argc, char **argv)
{
	int container, group;

	(void)argv;
	check_start(20);
	/* No node of the document's API. */
	check_topic = "nodes";
	CHECK_ERR(open("/dev/vfio/pci:0", O_RDWR), ENOENT);
	CHECK_ERR(open("/dev/vfio/0", O_RDWR), ENOENT);
	if (argc > 1) {
		check_refused();
		return check_done();
	}
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(NODE, O_RDWR);
	NEED(container >= 0 && group >= 0);
	CHECK_ERR(open(NODE, O_RDWR), EBUSY);
	check_container(container, group);
	check_mixing(container);
	check_device(group);
	CHECK_OK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	return check_done();
}
