/*
 * A driver for QEMU's edu device: DMA through the IOMMU.
 */
#include "edu.h"

#define AT	0x10000u	/* IOVA of the test memory */

static void start_dma(int device, uint32_t source, uint32_t destination,
		      uint32_t count, uint32_t flags)
{
	CHECK_OK(bar_write(device, DMA_SOURCE, source));
	CHECK_OK(bar_write(device, DMA_DESTINATION, destination));
	CHECK_OK(bar_write(device, DMA_COUNT, count));
	CHECK_OK(bar_write(device, DMA_COMMAND, DMA_START | flags));
}

static void to_device(int device, uint32_t iova, uint32_t count)
{
	start_dma(device, iova, BUFFER, count, 0);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
}

static void to_memory(int device, uint32_t iova, uint32_t count)
{
	start_dma(device, BUFFER, iova, count, DMA_TO_MEMORY);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
}

static void fill(unsigned char *memory, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		memory[i] = seed + i * 7 + i / 251;
}

static int is_all(const unsigned char *memory, size_t size, unsigned char byte)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i] != byte)
			return 0;
	return 1;
}

static void check_dma(int device, unsigned char *memory)
{
	unsigned char *out = memory, *in = memory + PAGE;

	check_topic = "DMA both ways";
	fill(out, PAGE, 1);
	memset(in, 0xcc, PAGE);
	to_device(device, AT, PAGE);
	CHECK(is_all(in, PAGE, 0xcc));
	to_memory(device, AT + PAGE, PAGE);
	CHECK(!memcmp(in, out, PAGE));

	check_topic = "DMA of a part";
	memset(in, 0xcc, PAGE);
	start_dma(device, BUFFER + 0x123, AT + PAGE + 0x45, 0x67, DMA_TO_MEMORY);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	CHECK(is_all(in, 0x45, 0xcc));
	CHECK(!memcmp(in + 0x45, out + 0x123, 0x67));
	CHECK(is_all(in + 0x45 + 0x67, PAGE - 0x45 - 0x67, 0xcc));

	check_topic = "DMA across a page boundary";
	fill(out, 2 * PAGE, 9);
	to_device(device, AT + 0x800, PAGE);
	memset(memory + 2 * PAGE, 0, 2 * PAGE);
	to_memory(device, AT + 2 * PAGE + 0xff0, PAGE);
	CHECK(!memcmp(memory + 2 * PAGE + 0xff0, memory + 0x800, PAGE));

	check_topic = "DMA address of 28 bits";
	fill(out, PAGE, 77);
	memset(in, 0, PAGE);
	to_device(device, 0xf0000000u | AT, PAGE);
	to_memory(device, AT + PAGE, PAGE);
	CHECK(!memcmp(in, out, PAGE));

	check_topic = "registers while DMA runs";
	start_dma(device, AT, BUFFER, PAGE, 0);
	CHECK_EQ(bar_read(device, ID), EDU_ID);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
}

static void check_dma_irq(int device, unsigned char *memory)
{
	int event = eventfd(0, EFD_NONBLOCK);

	check_topic = "DMA interrupt";
	CHECK_OK(set_irq(device, INTX, event));
	fill(memory, PAGE, 3);
	start_dma(device, AT, BUFFER, PAGE, DMA_WANT_IRQ);
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), IRQ_DMA);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	acknowledge(device, IRQ_DMA);
	CHECK_OK(unmask_irq(device, INTX, 0));
	memset(memory + PAGE, 0, PAGE);
	start_dma(device, BUFFER, AT + PAGE, PAGE, DMA_TO_MEMORY | DMA_WANT_IRQ);
	FIRES(event);
	/* The data is there before the interrupt. */
	CHECK(!memcmp(memory + PAGE, memory, PAGE));
	acknowledge(device, IRQ_DMA);
	CHECK_OK(clear_irq(device, INTX));

	check_topic = "DMA interrupt by MSI";
	CHECK_OK(set_irq(device, MSI, event));
	start_dma(device, AT, BUFFER, PAGE, DMA_WANT_IRQ);
	FIRES(event);
	acknowledge(device, IRQ_DMA);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	start_dma(device, AT, BUFFER, PAGE, 0);
	QUIET(event);
	CHECK_OK(clear_irq(device, MSI));

	check_topic = "DMA interrupt without an eventfd";
	start_dma(device, AT, BUFFER, PAGE, DMA_WANT_IRQ);
	CHECK(wait_set(device, IRQ_STATUS, IRQ_DMA));
	acknowledge(device, IRQ_DMA);
	close(event);
}

static void check_dma_faults(int device, int iommu, unsigned char *memory)
{
	check_topic = "DMA from an address that is not mapped";
	fill(memory, PAGE, 5);
	to_device(device, AT, PAGE);
	to_device(device, 0x4000000, PAGE);
	memset(memory, 0xcc, PAGE);
	to_memory(device, AT, PAGE);
	CHECK(is_all(memory, PAGE, 0));

	check_topic = "DMA to an address that is not mapped";
	to_memory(device, 0x4000000, PAGE);
	CHECK_EQ(bar_read(device, ID), EDU_ID);

	check_topic = "DMA of which half is mapped";
	fill(memory, PAGE, 6);
	to_device(device, AT, PAGE);
	memset(memory + 3 * PAGE, 0xcc, PAGE);
	/* The fourth page is the last one mapped. */
	to_memory(device, AT + 3 * PAGE + 0x800, PAGE);
	CHECK(is_all(memory + 3 * PAGE, 0x800, 0xcc));
	CHECK(!memcmp(memory + 3 * PAGE + 0x800, memory, 0x800));

	check_topic = "DMA against the mapping's direction";
	CHECK_OK(unmap_dma(iommu, AT, 4 * PAGE));
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory, AT, PAGE));
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_WRITE, memory + PAGE,
			 AT + PAGE, PAGE));
	fill(memory, PAGE, 8);
	to_device(device, AT, PAGE);
	memset(memory, 0xcc, 2 * PAGE);
	to_memory(device, AT, PAGE);
	CHECK(is_all(memory, PAGE, 0xcc));
	to_memory(device, AT + PAGE, PAGE);
	fill(memory, PAGE, 8);
	CHECK(!memcmp(memory + PAGE, memory, PAGE));
	to_device(device, AT + PAGE, PAGE);	/* may not be read: zeros */
	CHECK_OK(unmap_dma(iommu, AT, 2 * PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, AT, 4 * PAGE));
	to_memory(device, AT + 2 * PAGE, PAGE);
	CHECK(is_all(memory + 2 * PAGE, PAGE, 0));

	check_topic = "DMA after unmap";
	fill(memory, PAGE, 11);
	to_device(device, AT, PAGE);
	CHECK_OK(unmap_dma(iommu, AT + PAGE, PAGE));
	memset(memory + PAGE, 0xcc, PAGE);
	to_memory(device, AT + PAGE, PAGE);
	CHECK(is_all(memory + PAGE, PAGE, 0xcc));
	CHECK_OK(map_dma(iommu, MAP_RW, memory + PAGE, AT + PAGE, PAGE));

	check_topic = "DMA outside the device's buffer";
	fill(memory, PAGE, 12);
	to_device(device, AT, PAGE);
	memset(memory, 0xcc, 2 * PAGE);
	start_dma(device, AT, BUFFER + PAGE - 16, 32, 0);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	start_dma(device, AT, BUFFER - 16, 32, 0);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	start_dma(device, BUFFER + PAGE - 16, AT, 32, DMA_TO_MEMORY);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	start_dma(device, 0, AT, 32, DMA_TO_MEMORY);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	start_dma(device, BUFFER, AT, 0x7fffffff, DMA_TO_MEMORY);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	CHECK(is_all(memory, PAGE, 0xcc));
	fill(memory + 2 * PAGE, PAGE, 12);
	to_memory(device, AT + PAGE, PAGE);
	CHECK(!memcmp(memory + PAGE, memory + 2 * PAGE, PAGE));
}

static void check_bus_master(int device, unsigned char *memory)
{
	check_topic = "DMA without bus mastering";
	fill(memory, PAGE, 21);
	to_device(device, AT, PAGE);
	memset(memory + PAGE, 0xcc, PAGE);
	set_bus_master(device, 0);
	start_dma(device, BUFFER, AT + PAGE, PAGE, DMA_TO_MEMORY);
	sleep_us(QUIET_MS * 1000);
	note("DMA command without bus mastering reads %#x",
	     bar_read(device, DMA_COMMAND));
	CHECK(is_all(memory + PAGE, PAGE, 0xcc));
	set_bus_master(device, 1);
	sleep_us(QUIET_MS * 1000);
	CHECK(is_all(memory + PAGE, PAGE, 0xcc));	/* nothing was pending */

	check_topic = "DMA with bus mastering again";
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	set_bus_master(device, 1);
	to_device(device, AT, PAGE);
	to_memory(device, AT + PAGE, PAGE);
	CHECK(!memcmp(memory + PAGE, memory, PAGE));
}

/* A reset stops a transfer; so does the end of the mapping. */
static void check_dma_stopped(int device, int iommu, unsigned char *memory)
{
	check_topic = "reset during DMA";
	fill(memory, PAGE, 31);
	to_device(device, AT, PAGE);
	memset(memory + PAGE, 0xcc, PAGE);
	start_dma(device, BUFFER, AT + PAGE, PAGE, DMA_TO_MEMORY | DMA_WANT_IRQ);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(bar_read(device, DMA_COMMAND) & DMA_START, 0);
	sleep_us(QUIET_MS * 1000);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0);
	/* On a machine this slow it may just have been done before. */
	note("memory after a reset during DMA: %s",
	     is_all(memory + PAGE, PAGE, 0xcc) ? "untouched" : "written");
	set_bus_master(device, 1);

	check_topic = "unmap during DMA";
	to_device(device, AT, PAGE);
	start_dma(device, BUFFER, AT + PAGE, PAGE, DMA_TO_MEMORY);
	CHECK_OK(unmap_dma(iommu, AT + PAGE, PAGE));
	/* After unmap returns the memory is ours alone. */
	memset(memory + PAGE, 0xcc, PAGE);
	CHECK(wait_clear(device, DMA_COMMAND, DMA_START));
	CHECK(is_all(memory + PAGE, PAGE, 0xcc));
	CHECK_OK(map_dma(iommu, MAP_RW, memory + PAGE, AT + PAGE, PAGE));
}

int main(void)
{
	unsigned char *memory = new_pages(4);
	int group, iommu, device;

	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	iommu = get_iommu(group);
	NEED(iommu >= 0);
	device = get_device(group);
	NEED(device >= 0);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));

	check_topic = "DMA";
	CHECK_OK(map_dma(iommu, MAP_RW, memory, AT, 4 * PAGE));
	set_bus_master(device, 1);
	check_dma(device, memory);
	check_dma_irq(device, memory);
	check_dma_faults(device, iommu, memory);
	check_bus_master(device, memory);
	check_dma_stopped(device, iommu, memory);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	close(device);
	close(iommu);
	check_topic = "end";
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
