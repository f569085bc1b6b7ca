/*
 * Uses the models of kit.c: kit_client pci|platform [bare]
 * In group 7 of either bus.
 */
#include "check.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "client.h"
#include "kit.h"

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

static int waits(int event)
{
	struct pollfd ready = { .fd = event, .events = POLLIN };
	uint64_t count;

	return poll(&ready, 1, 0) == 1 && read(event, &count, 8) == 8;
}

static void levels(void)
{
	int event = eventfd(0, 0);

	check_topic = "level";
	CHECK_OK(set_irq(device, 0, event));
	CHECK(!waits(event));
	set(KIT_LINE, 1);
	CHECK(waits(event));
	set(KIT_LINE, 1);
	CHECK(!waits(event));		/* masked */
	CHECK_OK(unmask_irq(device, 0, 0));
	CHECK(waits(event));		/* still high */
	set(KIT_LINE, 0);
	CHECK_OK(unmask_irq(device, 0, 0));
	CHECK(!waits(event));
	set(KIT_LINE, 1);
	CHECK(waits(event));
	set(KIT_LINE, 0);
	CHECK_OK(clear_irq(device, 0));
	close(event);
}

static void messages(void)
{
	int event = eventfd(0, 0);

	check_topic = "messages";
	CHECK_OK(set_irq(device, 1, event));
	set(KIT_MESSAGE, 0);
	CHECK(waits(event));
	set(KIT_MESSAGE, 0);
	CHECK(waits(event));
	set(KIT_MESSAGE, 77);
	CHECK(!waits(event));
	CHECK_OK(clear_irq(device, 1));
	close(event);
}

static void transfers(int iommu)
{
	uint32_t *memory = new_pages(1);
	int event = eventfd(0, 0);
	uint64_t count;

	check_topic = "DMA";
	NEED(!map_dma(iommu, MAP_RW, memory, 0x10000, PAGE));
	memory[3] = 41;
	CHECK_OK(set_irq(device, 0, event));
	set(KIT_TRANSFER, 0x1000c);
	CHECK_EQ(read(event, &count, 8), 8);
	CHECK_EQ(memory[3], 42);
	set(KIT_LINE, 0);
	/* Where nothing is: plugin_test.sh looks into the log. */
	CHECK_OK(clear_irq(device, 0));
	CHECK_OK(set_irq(device, 0, event));
	set(KIT_TRANSFER, 0x5000c);
	CHECK_EQ(read(event, &count, 8), 8);
	set(KIT_LINE, 0);
	set(KIT_WAIT, 0);
	CHECK_EQ(get(KIT_SCRATCH), (uint32_t)-EDEADLK);
	CHECK_OK(clear_irq(device, 0));
	close(event);
}

/* RAM, which the model reaches by calls and a client as it likes. */
static void ram(void)
{
	struct vfio_region_info region = {
		.argsz = sizeof(region), .index = KIT_RAM_REGION,
	};
	uint32_t value = 0;
	uint32_t *memory;

	check_topic = "RAM";
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(region.size, 4096);
	set(KIT_RAM, 0xcafe);
	CHECK_EQ(pread(device, &value, 4, region.offset), 4);
	CHECK_EQ(value, 0xcafe);
	value = 0xbeef;
	CHECK_EQ(pwrite(device, &value, 4, region.offset + 8), 4);
	CHECK_EQ(get(KIT_RAM), 0xbeef);
	CHECK_EQ(pread(device, &value, 4, region.offset + 4094), 2);
	CHECK_ERR(pread(device, &value, 4, region.offset + 4096), EINVAL);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		      region.offset);
	if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		CHECK(memory == MAP_FAILED);
		return;
	}
	NEED(memory != MAP_FAILED);
	memory[2] = 0xf00d;
	CHECK_EQ(get(KIT_RAM), 0xf00d);
	set(KIT_RAM, 77);
	CHECK_EQ(memory[0], 77);
	/* A mapping keeps the device open. */
	CHECK_OK(munmap(memory, PAGE));
}

int main(int argc, char **argv)
{
	int platform = argc > 1 && !strcmp(argv[1], "platform");
	int group, iommu;
	uint32_t masters;

	check_start(20);
	check_topic = "start";
	NEED((group = open(platform ? "/dev/vfio/platform:7" : "/dev/vfio/pci:7",
			   O_RDWR)) >= 0);
	NEED((iommu = get_iommu(group)) >= 0);
	NEED((device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			     platform ? "10000.kit" : "0000:00:07.0")) >= 0);
	if (!platform)
		CHECK_OK(config_write(device, 4, 2, 6));
	if (argc > 2) {
		check_topic = "bare";
		set(KIT_SCRATCH, 1);
		CHECK_EQ(get(KIT_SCRATCH), 0xffffffff);
		CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
		return check_done();
	}
	check_topic = "registers";
	set(KIT_SCRATCH, 0x12345678);
	CHECK_EQ(get(KIT_SCRATCH), 0x12345678);
	CHECK_EQ(get(KIT_ACCESS), 4);
	check_topic = "reset";
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(get(KIT_SCRATCH), 0);
	levels();
	ram();
	messages();
	transfers(iommu);
	check_topic = "bus mastering";
	masters = get(KIT_MASTERS);
	close(device);
	NEED((device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			     platform ? "10000.kit" : "0000:00:07.0")) >= 0);
	if (!platform)
		CHECK_OK(config_write(device, 4, 2, 2));
	CHECK_EQ(get(KIT_MASTERS), masters + 1);
	return check_done();
}
