/* Drives the PL081 of the platform bus as its driver would: 1c010000.dma in group 0. */
#include "check.h"

#include <sys/eventfd.h>

#include "client.h"

enum {
	INT_STATUS = 0x00, TC_STATUS = 0x04, TC_CLEAR = 0x08, ERR_STATUS = 0x0c,
	ERR_CLEAR = 0x10, ENABLED = 0x1c, CONFIG = 0x30,
	SRC = 0x100, DST = 0x104, LLI = 0x108, CONTROL = 0x10c, CHANNEL = 0x110,
	PERIPHERAL_ID = 0xfe0,
};
#define WORDS(n)	((n) | 2u << 18 | 2u << 21 | 1u << 26 | 1u << 27)
#define TC_INTERRUPT	(1u << 31)
#define GO		(1u | 1u << 14 | 1u << 15)

static int device;

static uint32_t get(off_t at)
{
	uint32_t value = 0;

	CHECK_EQ(pread(device, &value, 4, at), 4);
	return value;
}

static void set(off_t at, uint32_t value)
{
	CHECK_EQ(pwrite(device, &value, 4, at), 4);
}

static void info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	uint64_t wide = 0;

	check_topic = "info";
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	CHECK_EQ(info.flags, VFIO_DEVICE_FLAGS_RESET);	/* and no PCI */
	CHECK_EQ(info.num_regions, 1);
	CHECK_EQ(info.num_irqs, 3);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(region.size, 4096);
	region.index = 1;
	CHECK_ERR(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region), EINVAL);
	for (irq.index = 0; irq.index < 3; irq.index++) {
		CHECK_OK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq));
		CHECK_EQ(irq.count, 1);
		CHECK_EQ(irq.flags, VFIO_IRQ_INFO_FLAG_LEVEL);
		irq.flags = 0;
	}
	CHECK_ERR(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq), EINVAL);
	CHECK_ERR(pread(device, &wide, 4, 4096), EINVAL);
	CHECK_ERR(pread(device, &wide, 4, region_at(1, 0)), EINVAL);
	CHECK_EQ(pread(device, &wide, 8, 4092), 4);
	CHECK_EQ(get(PERIPHERAL_ID), 0x81);
	CHECK_EQ(get(PERIPHERAL_ID + 0x1c), 0xb1);
}

/* The interrupt comes, and the wire goes low again. */
static void take(int event, off_t clear)
{
	uint64_t count;

	CHECK_EQ(read(event, &count, 8), 8);
	CHECK_EQ(count, 1);
	CHECK_EQ(get(clear == TC_CLEAR ? TC_STATUS : ERR_STATUS), 1);
	CHECK_EQ(get(ENABLED), 0);
	set(clear, 1);
	CHECK_EQ(get(INT_STATUS), 0);
}

int main(void)
{
	uint32_t *memory = new_pages(3);
	int group, iommu, ends, errors, i;

	check_start(20);
	check_topic = "start";
	NEED((group = open("/dev/vfio/platform:0", O_RDWR)) >= 0);
	NEED((iommu = get_iommu(group)) >= 0);
	NEED((device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "1c010000.dma")) >= 0);
	info();
	NEED(!map_dma(iommu, MAP_RW, memory, 0x80000000, 3 * PAGE));
	ends = eventfd(0, 0);
	errors = eventfd(0, 0);
	check_topic = "interrupts are set by themselves";
	CHECK_OK(set_irq(device, 1, ends));
	CHECK_OK(set_irq(device, 2, errors));

	check_topic = "transfer";
	for (i = 0; i < 1024; i++)
		memory[i] = i * 3;
	set(CONFIG, 1);
	set(SRC, 0x80000000);
	set(DST, 0x80000000 + PAGE);
	set(LLI, 0);
	set(CONTROL, WORDS(1024) | TC_INTERRUPT);
	set(CHANNEL, GO);
	take(ends, TC_CLEAR);
	CHECK_EQ(memcmp(memory, memory + 1024, PAGE), 0);
	CHECK_EQ(get(SRC), 0x80000000 + PAGE);

	check_topic = "list";
	CHECK_OK(unmask_irq(device, 1, 0));
	memory[2048] = 0x80000000;
	memory[2049] = 0x80000000 + PAGE + 8;
	memory[2050] = 0;
	memory[2051] = WORDS(1) | TC_INTERRUPT;
	set(SRC, 0x80000004);
	set(DST, 0x80000000 + PAGE);
	set(LLI, 0x80000000 + 2 * PAGE);
	set(CONTROL, WORDS(2));
	set(CHANNEL, GO);
	take(ends, TC_CLEAR);
	CHECK_EQ(memory[1024], 3);
	CHECK_EQ(memory[1025], 6);
	CHECK_EQ(memory[1026], 0);

	check_topic = "fault";
	set(SRC, 0x10);
	set(LLI, 0);
	set(CONTROL, WORDS(1) | TC_INTERRUPT);
	set(CHANNEL, GO);
	take(errors, ERR_CLEAR);
	CHECK_EQ(get(TC_STATUS), 0);

	check_topic = "reset";
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(get(CONFIG), 0);
	return check_done();
}
