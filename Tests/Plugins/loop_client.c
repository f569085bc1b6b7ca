/* Uses the example bus driver of share/plugins/loopback-bus: loop_client [COUNT of devices] */
#include "check.h"

#include <sys/eventfd.h>

#include "client.h"

enum { SOURCE = 0x00, TARGET = 0x08, LENGTH = 0x10, START = 0x14, STATUS = 0x18 };
enum { IDLE, BUSY, DONE, FAULT };

static uint32_t read32(int device, off_t at)
{
	uint32_t value = ~0u;

	CHECK_EQ(pread(device, &value, 4, at), 4);
	return value;
}

static void start(int device, uint64_t source, uint64_t target, uint32_t length)
{
	uint32_t one = 1;

	CHECK_EQ(pwrite(device, &source, 8, SOURCE), 8);
	CHECK_EQ(pwrite(device, &target, 8, TARGET), 8);
	CHECK_EQ(pwrite(device, &length, 4, LENGTH), 4);
	CHECK_EQ(pwrite(device, &one, 4, START), 4);
}

static void info(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };

	check_topic = "info";
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	CHECK_EQ(info.flags, VFIO_DEVICE_FLAGS_RESET);
	CHECK_EQ(info.num_regions, 1);
	CHECK_EQ(info.num_irqs, 1);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(region.size, 32);
	CHECK_EQ(region.offset, 0);
	CHECK_EQ(region.flags, 0);
	region.index = 1;
	CHECK_ERR(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region), EINVAL);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq));
	CHECK_EQ(irq.count, 1);
	CHECK_EQ(irq.flags, 0);
	info.argsz = 15;
	CHECK_ERR(ioctl(device, VFIO_DEVICE_GET_INFO, &info), EINVAL);
	CHECK_ERR(unmask_irq(device, 0, 0), EINVAL);	/* by edge */
	CHECK_ERR(pread(device, &info, 4, 32), EINVAL);
	CHECK_EQ(pread(device, &info, 16, 24), 8);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0) == MAP_FAILED);
}

static void copies(int iommu, int device)
{
	char *memory = new_pages(2);
	int event = eventfd(0, 0);
	uint64_t count;

	check_topic = "copy";
	NEED(!map_dma(iommu, MAP_RW, memory, 0x100000, 2 * PAGE));
	strcpy(memory, "through the loop");
	CHECK_OK(set_irq(device, 0, event));
	CHECK_ERR(set_irq(device, 0, event), EINVAL);
	start(device, 0x100000, 0x100000 + PAGE, 100);
	CHECK_EQ(read(event, &count, 8), 8);
	CHECK_EQ(count, 1);
	CHECK_EQ(read32(device, STATUS), DONE);
	CHECK_EQ(strcmp(memory + PAGE, "through the loop"), 0);
	check_topic = "nothing is mapped";
	start(device, 0x900000, 0x100000, 100);
	CHECK_EQ(read(event, &count, 8), 8);
	CHECK_EQ(read32(device, STATUS), FAULT);
	CHECK_EQ(strcmp(memory, "through the loop"), 0);
	check_topic = "reset";
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(read32(device, STATUS), IDLE);
	CHECK_OK(clear_irq(device, 0));
	CHECK_ERR(clear_irq(device, 0), EINVAL);
}

int main(int argc, char **argv)
{
	int group, iommu, device, i, count = argc > 1 ? atoi(argv[1]) : 1;
	char name[16];

	check_start(20);
	check_topic = "start";
	NEED((group = open("/dev/vfio/loop:0", O_RDWR)) >= 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	NEED((iommu = get_iommu(group)) >= 0);
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "loop%d", i);
		NEED((device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)) >= 0);
		CHECK_EQ(read32(device, 0x1c), 0x504f4f4c);
		info(device);
		copies(iommu, device);
		CHECK_OK(unmap_dma(iommu, 0x100000, 2 * PAGE));
		close(device);
	}
	snprintf(name, sizeof(name), "loop%d", count);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name), ENODEV);
	return check_done();
}
