/*
 * A driver for testdev, the device that has and does everything once: BARs of
 * every type, ROM, capabilities, all interrupts, DMA, resets, and mapping
 * where the device says that it can be mapped. And for ivshmem, two devices
 * with one memory. On share/topologies/testdev.yaml.
 */
#include "check.h"
#include "client.h"

#include <poll.h>
#include <sys/eventfd.h>

enum {
	ID = 0x00,
	SCRATCH = 0x04,
	INTX_LEVEL = 0x08,
	MESSAGE = 0x0c,
	ADDRESS = 0x10,
	OFFSET = 0x18,
	LENGTH = 0x20,
	PATTERN = 0x24,
	COMMAND = 0x28,
	STATUS = 0x2c,
	FAULT = 0x30,
	RESETS = 0x38,
};

enum { LOAD = 1, STORE, FILL, WHEN_DONE = 1 << 4 };
enum { BUSY = 1, DONE, FAILED };
/* Regions. */
enum { REGISTERS, PORTS, RAM, TABLE = 4, ROM = 6, CONFIG = 7 };
/* Where the capabilities are. */
enum { PM = 0x40, MSI_CAP = 0x48, MSIX_CAP = 0x60, EXP = 0x6c };

#define INTX		VFIO_PCI_INTX_IRQ_INDEX
#define MSI		VFIO_PCI_MSI_IRQ_INDEX
#define MSIX		VFIO_PCI_MSIX_IRQ_INDEX
#define RAM_SIZE	(1u << 20)
#define PENDING		0x1000u
#define IOVA		0x100000000ull
#define DEADLINE_MS	10000	/* machines that run tests are slow */
#define QUIET_MS	100

static int group, iommu, device;

static uint32_t region_read(unsigned int region, uint64_t at, size_t width)
{
	uint32_t value = 0;

	if (pread(device, &value, width, region_at(region, at)) !=
	    (ssize_t)width)
		return ~0u;
	return value;
}

static int region_write(unsigned int region, uint64_t at, size_t width,
			uint32_t value)
{
	return pwrite(device, &value, width, region_at(region, at)) ==
		(ssize_t)width ? 0 : -1;
}

static struct vfio_region_info region_info(int fd, unsigned int index)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = index,
	};

	CHECK_OK(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info;
}

/* What an eventfd has counted, once it has counted anything; else 0. */
static uint64_t counted(int fd, int wait_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, wait_ms) != 1 || read(fd, &count, 8) != 8)
		return 0;
	return count;
}

static int set_irqs(uint32_t index, uint32_t count, const int *fds)
{
	union {
		struct vfio_irq_eventfds set;
		char room[sizeof(struct vfio_irq_eventfds) + 4 * 32];
	} arg = { .set = {
		.argsz = sizeof(struct vfio_irq_eventfds) + 4 * count,
		.index = index,
		.count = count,
	} };

	if (count)
		memcpy(arg.room + sizeof(struct vfio_irq_eventfds), fds,
		       4 * count);
	return ioctl(device, VFIO_DEVICE_SET_IRQ_EVENTFDS, &arg);
}

/* ----------------------------------------------------------- information */

static void check_information(void)
{
	static const uint64_t sizes[] = {
		4096, 32, RAM_SIZE, 0, 8192, 0, 4096, 4096,
	};
	static const uint32_t irqs[] = { 1, 4, 16 };
	struct vfio_device_info info = { .argsz = sizeof(info) };

	check_topic = "testdev information";
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	CHECK(info.flags & VFIO_DEVICE_FLAGS_RESET);
	for (unsigned int i = 0; i < 8; i++) {
		struct vfio_region_info region = region_info(device, i);

		CHECK_EQ(region.size, sizes[i]);
		CHECK_EQ(region.offset, (uint64_t)i << 40);
		CHECK_EQ(!!(region.flags & VFIO_REGION_INFO_FLAG_RO), i == ROM);
		if (i != RAM)
			CHECK(!(region.flags & VFIO_REGION_INFO_FLAG_MMAP));
	}
	for (unsigned int i = 0; i < 3; i++) {
		struct vfio_irq_info irq = {
			.argsz = sizeof(irq), .index = i,
		};

		CHECK_OK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq));
		CHECK_EQ(irq.count, irqs[i]);
	}
}

/* -------------------------------------------------- regions, config space */

static void check_regions(void)
{
	unsigned char bytes[64], same[64];

	check_topic = "registers and ports";
	CHECK_EQ(region_read(REGISTERS, ID, 4), 0x7e570001);
	CHECK_OK(region_write(REGISTERS, SCRATCH, 4, 0x11223344));
	CHECK_EQ(region_read(PORTS, SCRATCH, 4), 0x11223344);
	CHECK_OK(region_write(PORTS, SCRATCH + 1, 1, 0xaa));
	CHECK_EQ(region_read(REGISTERS, SCRATCH, 4), 0x1122aa44);
	CHECK_EQ(region_read(REGISTERS, SCRATCH + 1, 2), 0x22aa);
	CHECK_ERR(pread(device, bytes, 4, region_at(PORTS, 32)), EINVAL);

	check_topic = "RAM";
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 5 + 1;
	CHECK_EQ(pwrite(device, bytes, 64, region_at(RAM, 4077)), 64);
	CHECK_EQ(pread(device, same, 64, region_at(RAM, 4077)), 64);
	CHECK(!memcmp(bytes, same, 64));
	CHECK_EQ(pread(device, same, 64, region_at(RAM, RAM_SIZE - 4)), 4);

	check_topic = "ROM";
	CHECK_EQ(region_read(ROM, 0, 2), 0xaa55);
	CHECK_EQ(region_read(ROM, 0x1c, 4), 0x52494350);	/* PCIR */
	CHECK_EQ(region_read(ROM, 4092, 4), 0xffffffff);
	CHECK_ERR(pwrite(device, bytes, 4, region_at(ROM, 0)), EINVAL);

	check_topic = "MSI-X table and pending bits";
	CHECK_EQ(region_read(TABLE, 0, 4), 0xffffffff);
	CHECK_OK(region_write(TABLE, 0, 4, 0));
	CHECK_EQ(region_read(TABLE, 0, 4), 0xffffffff);
	CHECK_EQ(region_read(TABLE, PENDING, 4), 0);

	check_topic = "decoding";
	CHECK_OK(region_write(CONFIG, 4, 2, 0));
	CHECK_ERR(pread(device, bytes, 4, region_at(REGISTERS, 0)), EIO);
	CHECK_ERR(pread(device, bytes, 4, region_at(RAM, 0)), EIO);
	CHECK_EQ(region_read(PORTS, 0, 4), 0xffffffff);
	CHECK_OK(region_write(CONFIG, 4, 2, 0x107));
	CHECK_EQ(region_read(PORTS, 0, 4), 0x7e570001);
}

static void check_config(void)
{
	/* BAR or ROM to what it holds after all ones were written. */
	static const uint32_t sizing[][2] = {
		{ 0x10, 0xfffff000 }, { 0x14, 0xffffffe1 },
		{ 0x18, 0xfff0000c }, { 0x1c, 0xffffffff },
		{ 0x20, 0xffffe000 }, { 0x24, 0 }, { 0x30, 0xfffff001 },
	};
	unsigned int seen = 0;

	check_topic = "BAR sizing";
	for (unsigned int i = 0; i < sizeof(sizing) / sizeof(sizing[0]); i++) {
		unsigned int at = sizing[i][0];
		uint32_t before = region_read(CONFIG, at, 4);

		CHECK_OK(region_write(CONFIG, at, 4, ~0u));
		CHECK_EQ(region_read(CONFIG, at, 4), sizing[i][1]);
		CHECK_OK(region_write(CONFIG, at, 4, before));
		CHECK_EQ(region_read(CONFIG, at, 4), before);
	}
	CHECK_EQ(region_read(REGISTERS, ID, 4), 0x7e570001);

	check_topic = "capabilities";
	for (unsigned int at = region_read(CONFIG, 0x34, 1); at;
	     at = region_read(CONFIG, at + 1, 1))
		seen |= 1u << region_read(CONFIG, at, 1);
	CHECK_EQ(seen, 1u << 1 | 1u << 5 | 1u << 9 | 1u << 0x10 | 1u << 0x11);
	CHECK_EQ(region_read(CONFIG, 0x100, 2), 3);	/* serial number */
	CHECK_EQ(region_read(CONFIG, 0x10c, 2), 0xb);	/* vendor's */
	CHECK_OK(region_write(CONFIG, MSIX_CAP + 2, 2, 0xc000));
	CHECK_EQ(region_read(CONFIG, MSIX_CAP + 2, 2), 0xf);

	check_topic = "D3hot";
	CHECK_OK(region_write(CONFIG, PM + 4, 2, 3));
	CHECK_EQ(region_read(CONFIG, PM + 4, 2) & 3, 3);
	CHECK_EQ(region_read(REGISTERS, ID, 4), ~0u);
	CHECK_EQ(errno, EIO);
	CHECK_OK(region_write(CONFIG, PM + 4, 2, 0));
	CHECK_EQ(region_read(REGISTERS, ID, 4), 0x7e570001);
	CHECK_EQ(region_read(REGISTERS, SCRATCH, 4), 0);

	check_topic = "resets";
	for (int how = 0; how < 2; how++) {
		uint32_t resets = region_read(REGISTERS, RESETS, 4);

		CHECK_OK(region_write(REGISTERS, SCRATCH, 4, 7));
		if (how)
			CHECK_OK(region_write(CONFIG, EXP + 8, 2, 0x8000));
		else
			CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
		CHECK_EQ(region_read(REGISTERS, SCRATCH, 4), 0);
		CHECK_EQ(region_read(REGISTERS, RESETS, 4), resets + 1);
		CHECK_EQ(region_read(CONFIG, 4, 2), 0x107);
	}
}

/* ------------------------------------------------------------ interrupts */

static void check_messages(uint32_t index, int vectors)
{
	int fds[16], none[16];

	for (int i = 0; i < vectors; i++) {
		NEED((fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
		none[i] = -1;
	}
	CHECK_ERR(set_irqs(index, 0, NULL), EINVAL);
	CHECK_OK(set_irqs(index, vectors, fds));
	CHECK_ERR(set_irqs(index, vectors, fds), EINVAL);
	CHECK_ERR(set_irqs(index == MSI ? MSIX : MSI, 1, fds), EINVAL);
	CHECK_ERR(set_irqs(INTX, 1, fds), EINVAL);
	for (int i = 0; i < vectors; i++) {
		CHECK_OK(region_write(REGISTERS, MESSAGE, 4, i));
		CHECK_EQ(counted(fds[i], DEADLINE_MS), 1);
	}
	for (int i = 0; i < vectors; i++)
		CHECK_EQ(counted(fds[i], 0), 0);
	CHECK_OK(set_irqs(index, 0, NULL));
	CHECK_OK(region_write(REGISTERS, MESSAGE, 4, 0));
	CHECK_EQ(counted(fds[0], QUIET_MS), 0);

	/* -1 skips a vector. */
	none[1] = fds[1];
	CHECK_OK(set_irqs(index, 2, none));
	CHECK_OK(region_write(REGISTERS, MESSAGE, 4, 1));
	CHECK_EQ(counted(fds[1], DEADLINE_MS), 1);
	if (index == MSIX) {
		CHECK_OK(region_write(REGISTERS, MESSAGE, 4, 0));
		CHECK_OK(region_write(REGISTERS, MESSAGE, 4, 5));
		CHECK_EQ(region_read(TABLE, PENDING, 4), 0x21);
	} else {
		/* Masked by the driver, then not. */
		CHECK_OK(region_write(CONFIG, MSI_CAP + 0x10, 4, 2));
		CHECK_OK(region_write(REGISTERS, MESSAGE, 4, 1));
		CHECK_EQ(region_read(CONFIG, MSI_CAP + 0x14, 4), 2);
		CHECK_EQ(counted(fds[1], QUIET_MS), 0);
		CHECK_OK(region_write(CONFIG, MSI_CAP + 0x10, 4, 0));
		CHECK_EQ(counted(fds[1], DEADLINE_MS), 1);
	}
	CHECK_OK(set_irqs(index, 0, NULL));
	none[0] = 99999;
	CHECK_ERR(set_irqs(index, 2, none), EBADF);
	for (int i = 0; i < vectors; i++)
		close(fds[i]);
}

static void check_intx(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	CHECK_OK(set_irq(device, INTX, fd));
	CHECK_OK(region_write(REGISTERS, INTX_LEVEL, 4, 1));
	CHECK_EQ(counted(fd, DEADLINE_MS), 1);
	CHECK(region_read(CONFIG, 6, 2) & 8);
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_EQ(counted(fd, DEADLINE_MS), 1);
	CHECK_OK(region_write(REGISTERS, INTX_LEVEL, 4, 0));
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_EQ(counted(fd, QUIET_MS), 0);
	/* DisINTx keeps it quiet; taking that back unmasks. */
	CHECK_OK(region_write(CONFIG, 4, 2, 0x507));
	CHECK_OK(region_write(REGISTERS, INTX_LEVEL, 4, 1));
	CHECK_EQ(counted(fd, QUIET_MS), 0);
	CHECK_OK(region_write(CONFIG, 4, 2, 0x107));
	CHECK_EQ(counted(fd, DEADLINE_MS), 1);
	CHECK_OK(region_write(REGISTERS, INTX_LEVEL, 4, 0));
	CHECK_OK(clear_irq(device, INTX));
	close(fd);
}

/* ------------------------------------------------------------------- DMA */

static uint32_t transfer(uint32_t command, uint64_t iova, uint32_t offset,
			 uint32_t length, uint32_t pattern)
{
	long long deadline = now_us() + DEADLINE_MS * 1000LL;

	region_write(REGISTERS, ADDRESS, 4, iova);
	region_write(REGISTERS, ADDRESS + 4, 4, iova >> 32);
	region_write(REGISTERS, OFFSET, 4, offset);
	region_write(REGISTERS, OFFSET + 4, 4, 0);
	region_write(REGISTERS, LENGTH, 4, length);
	region_write(REGISTERS, PATTERN, 4, pattern);
	region_write(REGISTERS, COMMAND, 4, command);
	while (now_us() < deadline) {
		uint32_t status = region_read(REGISTERS, STATUS, 4);

		if (status != BUSY)
			return status;
		sleep_us(200);
	}
	return BUSY;
}

static void check_dma(void)
{
	const size_t size = 64 * PAGE;
	unsigned char *memory = new_pages(64), *same = new_pages(64);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int fds[] = { -1, -1, fd };

	check_topic = "testdev DMA";
	for (size_t i = 0; i < size; i++)
		memory[i] = i * 7 ^ i >> 8;
	memcpy(same, memory, size);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, IOVA, size));
	CHECK_EQ(transfer(LOAD, IOVA + 3, 5, size - 3, 0), DONE);
	memset(memory, 0, size);
	CHECK_EQ(transfer(STORE, IOVA + 3, 5, size - 3, 0), DONE);
	CHECK(!memcmp(memory + 3, same + 3, size - 3));
	CHECK_EQ(transfer(FILL, IOVA, 0, size, 0x04030201), DONE);
	CHECK_EQ(memory[size - 1], 4);
	CHECK_EQ(transfer(STORE, IOVA, RAM_SIZE - 4, 8, 0), FAILED);
	CHECK_EQ(transfer(LOAD, IOVA + size - PAGE, 0, 2 * PAGE, 0), FAILED);
	CHECK_EQ(region_read(REGISTERS, FAULT, 4), (uint32_t)(IOVA + size));
	CHECK_OK(set_irqs(MSIX, 3, fds));
	CHECK_EQ(transfer(FILL | WHEN_DONE | 2 << 16, IOVA, 0, 4, 0), DONE);
	CHECK_EQ(counted(fd, DEADLINE_MS), 1);
	CHECK_OK(set_irqs(MSIX, 0, NULL));
	CHECK_OK(unmap_dma(iommu, IOVA, size));
	close(fd);
}

/* --------------------------------------------------------------- mapping */

static void *map_ram(int fd, int flags, off_t at, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd,
		    region_at(RAM, at));
}

/* Where the device says so; the transport may not be able to. */
static void check_mapping(void)
{
	unsigned char bytes[8];
	volatile uint32_t *ram, *end;

	check_topic = "mapping";
	if (!(region_info(device, RAM).flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		void *map = map_ram(device, MAP_SHARED, 0, PAGE);

		CHECK(map == MAP_FAILED);
		note("regions cannot be mapped here");
		return;
	}
	ram = map_ram(device, MAP_SHARED, 0, RAM_SIZE);
	NEED(ram != MAP_FAILED);
	end = map_ram(device, MAP_SHARED, RAM_SIZE - PAGE, PAGE);
	NEED(end != MAP_FAILED);

	/* The mapping, the descriptor and the device see one memory. */
	ram[0] = 0x01020304;
	CHECK_EQ(region_read(RAM, 0, 4), 0x01020304);
	CHECK_OK(region_write(RAM, RAM_SIZE - 4, 4, 0x55667788));
	CHECK_EQ(ram[RAM_SIZE / 4 - 1], 0x55667788);
	CHECK_EQ(end[PAGE / 4 - 1], 0x55667788);

	/* A mapping as memory for DMA: from the device to itself. */
	CHECK_OK(map_dma(iommu, MAP_RW, (void *)ram, IOVA, RAM_SIZE));
	CHECK_EQ(transfer(STORE, IOVA + 2 * PAGE, 0, 4, 0), DONE);
	CHECK_EQ(ram[2 * PAGE / 4], 0x01020304);
	CHECK_OK(unmap_dma(iommu, IOVA, RAM_SIZE));

	CHECK(map_ram(device, MAP_PRIVATE, 0, PAGE) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(map_ram(device, MAP_SHARED, 0, RAM_SIZE + PAGE) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	for (unsigned int region = 0; region < 9; region++) {
		if (region == RAM)
			continue;
		CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device,
			   region_at(region, 0)) == MAP_FAILED);
		CHECK_EQ(errno, EINVAL);
	}
	CHECK_OK(munmap((void *)end, PAGE));
	CHECK_OK(munmap((void *)ram, RAM_SIZE));
	CHECK_EQ(pread(device, bytes, 4, region_at(RAM, 0)), 4);
}

/* --------------------------------------------------------------- ivshmem */

static int open_ivshmem(const char *node, const char *name)
{
	int group = open(node, O_RDWR), fd;
	uint16_t command = 0x107;

	NEED(group >= 0);
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	NEED(fd >= 0);
	CHECK_EQ(pwrite(fd, &command, 2, region_at(CONFIG, 4)), 2);
	return fd;
}

static void check_ivshmem(void)
{
	int a, b, fds[2];
	uint32_t word = 0, positions[2];

	check_topic = "ivshmem";
	a = open_ivshmem("/dev/vfio/pci:1", "0000:00:02.0");
	b = open_ivshmem("/dev/vfio/pci:2", "0000:00:03.0");
	CHECK_EQ(region_info(a, RAM).size, 64 << 10);
	CHECK_EQ(pwrite(a, "both", 4, region_at(RAM, 65532)), 4);
	CHECK_EQ(pread(b, &word, 4, region_at(RAM, 65532)), 4);
	CHECK(!memcmp(&word, "both", 4));
	CHECK_EQ(pread(a, &positions[0], 4, region_at(REGISTERS, 8)), 4);
	CHECK_EQ(pread(b, &positions[1], 4, region_at(REGISTERS, 8)), 4);
	CHECK_EQ(positions[0], 0);
	CHECK_EQ(positions[1], 1);
	device = b;
	for (int i = 0; i < 2; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK_OK(set_irqs(MSIX, 2, fds));
	word = 1 << 16 | 1;
	CHECK_EQ(pwrite(a, &word, 4, region_at(REGISTERS, 0xc)), 4);
	CHECK_EQ(counted(fds[1], DEADLINE_MS), 1);
	CHECK_EQ(counted(fds[0], 0), 0);
}

int main(void)
{
	check_start(50);
	NEED((group = open(setting("VFIO_GROUP", "/dev/vfio/pci:0"),
			   O_RDWR)) >= 0);
	NEED((iommu = get_iommu(group)) >= 0);
	NEED((device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			     setting("VFIO_DEVICE", "0000:01:00.0"))) >= 0);
	CHECK_EQ(region_read(CONFIG, 0, 4), 0x7e571234);
	CHECK_OK(region_write(CONFIG, 4, 2, 0x107));
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));

	check_information();
	check_regions();
	check_config();
	check_topic = "MSI";
	check_messages(MSI, 4);
	check_topic = "MSI-X";
	check_messages(MSIX, 16);
	check_topic = "INTx";
	check_intx();
	check_dma();
	check_mapping();
	close(device);
	check_ivshmem();
	return check_done();
}
