/*
 * A driver for QEMU's edu device: registers, the factorial unit, both kinds of
 * interrupt, DMA through the IOMMU, reset.
 */
#include "check.h"
#include "client.h"

#include <poll.h>
#include <sys/eventfd.h>

enum {
	ID = 0x00,
	LIVENESS = 0x04,
	FACTORIAL = 0x08,
	STATUS = 0x20,
	IRQ_STATUS = 0x24,
	IRQ_RAISE = 0x60,
	IRQ_ACK = 0x64,
	DMA_SOURCE = 0x80,
	DMA_DESTINATION = 0x88,
	DMA_COUNT = 0x90,
	DMA_COMMAND = 0x98,
};

#define STATUS_COMPUTING	0x01u
#define STATUS_WANT_IRQ		0x80u
#define DMA_START		0x1u
#define DMA_TO_MEMORY		0x2u
#define DMA_WANT_IRQ		0x4u
#define IRQ_FACTORIAL		0x001u
#define IRQ_DMA			0x100u
#define BUFFER			0x40000u	/* the device's, one page */

#define COMMAND			0x04	/* in configuration space */
#define COMMAND_MEMORY		0x2u
#define COMMAND_MASTER		0x4u

#define INTX			VFIO_PCI_INTX_IRQ_INDEX
#define MSI			VFIO_PCI_MSI_IRQ_INDEX

#define DEADLINE_MS		10000	/* machines that run tests are slow */
#define QUIET_MS		300	/* three times what a transfer takes */

/* Polls until a register has no bit of mask; 0 when it never does. */
static int wait_clear(int device, uint32_t at, uint32_t mask)
{
	long long deadline = now_us() + DEADLINE_MS * 1000LL;

	while (now_us() < deadline) {
		uint32_t value = bar_read(device, at);

		if (!(value & mask))
			return 1;
		sleep_us(1000);
	}
	return 0;
}

static int wait_set(int device, uint32_t at, uint32_t mask)
{
	long long deadline = now_us() + DEADLINE_MS * 1000LL;

	while (now_us() < deadline) {
		if ((bar_read(device, at) & mask) == mask)
			return 1;
		sleep_us(1000);
	}
	return 0;
}

/* The counter of an eventfd, after waiting for it to be signalled; or 0. */
static uint64_t events(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&wait, 1, timeout_ms) != 1)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

#define FIRES(fd)	CHECK_EQ(events(fd, DEADLINE_MS), 1)
#define QUIET(fd)	CHECK_EQ(events(fd, QUIET_MS), 0)

static void set_bus_master(int device, int on)
{
	uint32_t command = config_read(device, COMMAND, 2) | COMMAND_MEMORY;

	command = on ? command | COMMAND_MASTER : command & ~COMMAND_MASTER;
	CHECK_EQ(config_write(device, COMMAND, 2, command), 0);
}

/* ------------------------------------------------------------ registers */

static void check_registers(int device)
{
	check_topic = "identification";
	CHECK_EQ(bar_read(device, ID), EDU_ID);
	CHECK_OK(bar_write(device, ID, 0));
	CHECK_EQ(bar_read(device, ID), EDU_ID);

	check_topic = "liveness";
	CHECK_OK(bar_write(device, LIVENESS, 0x12345678));
	CHECK_EQ(bar_read(device, LIVENESS), 0xedcba987);
	CHECK_OK(bar_write(device, LIVENESS, 0));
	CHECK_EQ(bar_read(device, LIVENESS), 0xffffffff);
}

static uint32_t factorial(int device, uint32_t n)
{
	if (bar_write(device, FACTORIAL, n) ||
	    !wait_clear(device, STATUS, STATUS_COMPUTING))
		return 0;
	return bar_read(device, FACTORIAL);
}

static void check_factorial(int device)
{
	check_topic = "factorial";
	CHECK_EQ(factorial(device, 0), 1);
	CHECK_EQ(factorial(device, 1), 1);
	CHECK_EQ(factorial(device, 10), 3628800);
	CHECK_EQ(factorial(device, 12), 479001600);
	CHECK_EQ(factorial(device, 13), 1932053504);	/* modulo 2^32 */
	CHECK_EQ(factorial(device, 20), 0x82b40000);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0);
}

static void check_reset(int group, int device)
{
	int again;

	check_topic = "registers survive close and open";
	CHECK_OK(bar_write(device, LIVENESS, 0x600dcafe));
	again = get_device(group);
	CHECK_EQ(bar_read(again, LIVENESS), ~0x600dcafeu);
	close(again);
	CHECK_EQ(bar_read(device, LIVENESS), ~0x600dcafeu);

	check_topic = "reset";
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, DMA_SOURCE, 0x1000));
	CHECK_OK(bar_write(device, DMA_COUNT, 0x100));
	CHECK_EQ(bar_read(device, STATUS), STATUS_WANT_IRQ);
	CHECK_EQ(bar_read(device, DMA_SOURCE), 0x1000);
	CHECK_EQ(bar_read(device, DMA_COUNT), 0x100);
	CHECK_OK(bar_write(device, IRQ_RAISE, 0x10));
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0x10);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(bar_read(device, ID), EDU_ID);
	CHECK_EQ(bar_read(device, LIVENESS), 0);
	CHECK_EQ(bar_read(device, STATUS), 0);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0);
	CHECK_EQ(bar_read(device, DMA_SOURCE), 0);
	CHECK_EQ(bar_read(device, DMA_COUNT), 0);
	CHECK_EQ(bar_read(device, DMA_COMMAND) & DMA_START, 0);
}

static void check_sibling(int group, int device)
{
	int sibling = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			    second_device_name());

	check_topic = "the other function";
	CHECK(sibling >= 0);
	CHECK_EQ(bar_read(sibling, ID), EDU_ID);
	CHECK_OK(bar_write(device, LIVENESS, 1));
	CHECK_OK(bar_write(sibling, LIVENESS, 2));
	CHECK_EQ(bar_read(device, LIVENESS), ~1u);
	CHECK_EQ(bar_read(sibling, LIVENESS), ~2u);
	CHECK_OK(ioctl(sibling, VFIO_DEVICE_RESET));
	CHECK_EQ(bar_read(device, LIVENESS), ~1u);
	close(sibling);
}

/* ----------------------------------------------------------- interrupts */

static void acknowledge(int device, uint32_t bits)
{
	CHECK_OK(bar_write(device, IRQ_ACK, bits));
	CHECK_EQ(bar_read(device, IRQ_STATUS) & bits, 0);
}

static void check_intx(int device)
{
	int event = eventfd(0, EFD_NONBLOCK);

	check_topic = "INTx and the factorial";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, FACTORIAL, 10));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), IRQ_FACTORIAL);
	CHECK_EQ(bar_read(device, FACTORIAL), 3628800);
	acknowledge(device, IRQ_FACTORIAL);
	CHECK_OK(bar_write(device, STATUS, 0));

	check_topic = "INTx is masked until it is unmasked";
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	QUIET(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 2);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);			/* the line was asserted meanwhile */

	check_topic = "INTx is still asserted at unmask";
	QUIET(event);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 2);
	CHECK_OK(unmask_irq(device, INTX, 0));
	QUIET(event);

	check_topic = "INTx when it is not masked";
	CHECK_OK(bar_write(device, IRQ_RAISE, 4));
	FIRES(event);
	acknowledge(device, 4);
	CHECK_OK(unmask_irq(device, INTX, 0));

	check_topic = "INTx stays asserted until all bits are acknowledged";
	CHECK_OK(bar_write(device, IRQ_RAISE, 0x30));
	FIRES(event);
	acknowledge(device, 0x10);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 0x20);
	CHECK_OK(unmask_irq(device, INTX, 0));
	QUIET(event);

	check_topic = "INTx after it is cleared";
	CHECK_OK(clear_irq(device, INTX));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);
	close(event);
}

static void check_unmask_eventfd(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);

	check_topic = "INTx unmasked by eventfd";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(set_eventfd(device, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS, INTX,
			     1, unmask));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	QUIET(event);
	for (int i = 0; i < 3; i++) {	/* still asserted each time */
		CHECK_OK(eventfd_write(unmask, 1));
		FIRES(event);
	}
	acknowledge(device, 1);
	CHECK_OK(eventfd_write(unmask, 1));
	QUIET(event);
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	FIRES(event);
	acknowledge(device, 2);

	check_topic = "INTx unmask eventfd removed";
	CHECK_OK(set_eventfd(device, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS, INTX,
			     0, -1));
	CHECK_OK(bar_write(device, IRQ_RAISE, 4));
	CHECK_OK(eventfd_write(unmask, 1));
	QUIET(event);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 4);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
	close(unmask);
}

static void check_msi(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), intx = eventfd(0, EFD_NONBLOCK);

	check_topic = "MSI";
	set_bus_master(device, 1);
	CHECK_OK(set_irq(device, MSI, event));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	/* A message is an event, not a level: nothing masks it. */
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 3);
	acknowledge(device, 3);
	QUIET(event);

	check_topic = "MSI and the factorial";
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, FACTORIAL, 5));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), IRQ_FACTORIAL);
	CHECK_EQ(bar_read(device, FACTORIAL), 120);
	CHECK_OK(bar_write(device, STATUS, 0));
	acknowledge(device, IRQ_FACTORIAL);

	check_topic = "MSI and INTx exclude each other";
	CHECK_ERR(set_irq(device, INTX, intx), EINVAL);
	CHECK_ERR(unmask_irq(device, MSI, 0), EINVAL);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	QUIET(intx);
	acknowledge(device, 1);

	check_topic = "MSI without bus mastering";
	set_bus_master(device, 0);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	set_bus_master(device, 1);
	QUIET(event);			/* lost, not pending */
	acknowledge(device, 1);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	acknowledge(device, 1);

	check_topic = "MSI after it is cleared";
	CHECK_OK(clear_irq(device, MSI));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);

	check_topic = "INTx after MSI";
	CHECK_OK(set_irq(device, INTX, intx));
	CHECK_ERR(set_irq(device, MSI, event), EINVAL);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(intx);
	acknowledge(device, 1);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
	close(intx);
}

/* Who opens the device next does not inherit the eventfds of who had it. */
static void check_closed_with_irq(int group)
{
	int event = eventfd(0, EFD_NONBLOCK);
	int device = get_device(group);

	check_topic = "closing the device clears its interrupts";
	CHECK_OK(set_irq(device, INTX, event));
	close(device);
	device = get_device(group);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(clear_irq(device, INTX));
	close(device);
	close(event);
}

/* ------------------------------------------------------------------ DMA */

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

	check_start(300);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	iommu = get_iommu(group);
	NEED(iommu >= 0);
	device = get_device(group);
	NEED(device >= 0);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));

	check_registers(device);
	check_factorial(device);
	check_reset(group, device);
	check_sibling(group, device);
	check_intx(device);
	check_unmask_eventfd(device);
	check_msi(device);

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
	check_closed_with_irq(group);
	close(iommu);
	check_topic = "end";
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
