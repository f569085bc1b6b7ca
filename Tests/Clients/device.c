/*
 * A device's information, registers and configuration space: the right answers,
 * and every error rule that a single process can see.
 */
#include "bad_arguments.h"

static void check_device_info(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	check_topic = "device info";
	CHECK_EQ(ioctl(device, VFIO_DEVICE_GET_INFO, &info), 0);
	CHECK_EQ(info.argsz, sizeof(info));
	CHECK_EQ(info.flags, VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
	CHECK_EQ(info.num_regions, VFIO_PCI_NUM_REGIONS);
	CHECK_EQ(info.num_irqs, VFIO_PCI_NUM_IRQS);
	info.flags = 0;
	check_info_header(device, VFIO_DEVICE_GET_INFO, &info, sizeof(info));
	check_pointers(device, VFIO_DEVICE_GET_INFO, &info, sizeof(info), 1);
	check_topic = "unknown requests on the device";
	check_unknown_requests(device);
	check_foreign_requests(device, group_requests, COUNT(group_requests));
	check_foreign_requests(device, iommu_requests, COUNT(iommu_requests));
}

static int region_info(int device, uint32_t index, struct vfio_region_info *info)
{
	*info = (struct vfio_region_info) {
		.argsz = sizeof(*info),
		.index = index,
		.size = 0xdead,
		.offset = 0xdead,
	};
	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info);
}

static void check_region_info(int device)
{
	struct vfio_region_info info;

	for (uint32_t i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		static const char *const names[] = {
			"region info BAR0", "region info BAR1",
			"region info BAR2", "region info BAR3",
			"region info BAR4", "region info BAR5",
			"region info ROM", "region info config",
		};

		check_topic = names[i];
		CHECK_EQ(region_info(device, i, &info), 0);
		CHECK_EQ(info.argsz, sizeof(info));
		CHECK_EQ(info.index, i);
		CHECK_EQ(info.offset, (uint64_t)i << 40);
		if (i == VFIO_PCI_BAR0_REGION_INDEX)
			CHECK_EQ(info.size, EDU_BAR_SIZE);
		else if (i == VFIO_PCI_CONFIG_REGION_INDEX)
			CHECK(info.size == 256 || info.size == 4096);
		else
			CHECK_EQ(info.size, 0);
		/* An absent ROM may well be called read-only. */
		if (i == VFIO_PCI_ROM_REGION_INDEX)
			CHECK_EQ(info.flags & ~VFIO_REGION_INFO_FLAG_RO, 0);
		else
			CHECK_EQ(info.flags, 0);
	}

	check_topic = "region info";
	CHECK_ERR(region_info(device, VFIO_PCI_NUM_REGIONS, &info), EINVAL);
	CHECK_ERR(region_info(device, UINT32_MAX, &info), EINVAL);
	CHECK_ERR(region_info(device, 1u << 31, &info), EINVAL);
	region_info(device, 0, &info);
	check_info_header(device, VFIO_DEVICE_GET_REGION_INFO, &info,
			  sizeof(info));
	check_pointers(device, VFIO_DEVICE_GET_REGION_INFO, &info,
		       sizeof(info), 1);
}

static int irq_info(int device, uint32_t index, struct vfio_irq_info *info)
{
	*info = (struct vfio_irq_info) {
		.argsz = sizeof(*info),
		.index = index,
		.count = 0xdead,
	};
	return ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, info);
}

static void check_irq_info(int device)
{
	static const char *const names[] = {
		"irq info INTx", "irq info MSI", "irq info MSI-X",
	};
	struct vfio_irq_info info;

	for (uint32_t i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		int intx = i == VFIO_PCI_INTX_IRQ_INDEX;

		check_topic = names[i];
		CHECK_EQ(irq_info(device, i, &info), 0);
		CHECK_EQ(info.argsz, sizeof(info));
		CHECK_EQ(info.index, i);
		CHECK_EQ(info.flags, intx ? VFIO_IRQ_INFO_FLAG_LEVEL : 0);
		CHECK_EQ(info.count, i == VFIO_PCI_MSIX_IRQ_INDEX ? 0 : 1);
	}

	check_topic = "irq info";
	CHECK_ERR(irq_info(device, VFIO_PCI_NUM_IRQS, &info), EINVAL);
	CHECK_ERR(irq_info(device, VFIO_PCI_CONFIG_REGION_INDEX, &info),
		  EINVAL);
	CHECK_ERR(irq_info(device, UINT32_MAX, &info), EINVAL);
	irq_info(device, 0, &info);
	check_info_header(device, VFIO_DEVICE_GET_IRQ_INFO, &info, sizeof(info));
	check_pointers(device, VFIO_DEVICE_GET_IRQ_INFO, &info, sizeof(info), 1);
}

/* ------------------------------------------------------ read and write */

/*
 * Accesses that are past the end of a region, in whole or in part, are short
 * or EINVAL, and give nothing of another region.
 */
static void check_past_end(int device, off_t offset, size_t inside)
{
	unsigned char bytes[8], untouched[8];
	ssize_t n;

	memset(bytes, 0xcc, sizeof(bytes));
	memset(untouched, 0xcc, sizeof(untouched));
	errno = 0;
	n = pread(device, bytes, sizeof(bytes), offset);
	CHECK(n == (ssize_t)inside || (n == -1 && errno == EINVAL));
	CHECK(!memcmp(bytes + inside, untouched, sizeof(bytes) - inside));
	errno = 0;
	n = pwrite(device, untouched, sizeof(untouched), offset);
	CHECK(n == (ssize_t)inside || (n == -1 && errno == EINVAL));
}

static void check_offsets(int device)
{
	const off_t bar0 = region_at(VFIO_PCI_BAR0_REGION_INDEX, 0);
	const off_t rom = region_at(VFIO_PCI_ROM_REGION_INDEX, 0);
	struct vfio_region_info config = { .size = 0 };
	uint32_t value = 0;

	check_topic = "read and write of no region";
	CHECK_ERR(pread(device, &value, 4, region_at(8, 0)), EINVAL);
	CHECK_ERR(pwrite(device, &value, 4, region_at(8, 0)), EINVAL);
	CHECK_ERR(pread(device, &value, 4, region_at(9, 16)), EINVAL);
	CHECK_ERR(pread(device, &value, 4, region_at(255, 0)), EINVAL);
	CHECK_ERR(pread(device, &value, 4, region_at(0x10000, 0)), EINVAL);
	CHECK_ERR(pread(device, &value, 4, -4096), EINVAL);

	check_topic = "read and write across the end of BAR0";
	check_past_end(device, bar0 + EDU_BAR_SIZE - 4, 4);
	check_topic = "read and write at the end of BAR0";
	check_past_end(device, bar0 + EDU_BAR_SIZE, 0);
	check_topic = "read and write past BAR0";
	check_past_end(device, bar0 + EDU_BAR_SIZE + 0x1000, 0);
	check_topic = "read and write just below the next region";
	check_past_end(device, region_at(1, 0) - 8, 0);
	check_topic = "read and write over the start of the next region";
	check_past_end(device, region_at(7, 0) - 4, 0);
	check_topic = "read and write of a region that is not there";
	check_past_end(device, region_at(VFIO_PCI_BAR1_REGION_INDEX, 0), 0);
	check_past_end(device, region_at(VFIO_PCI_BAR5_REGION_INDEX, 0x3c), 0);
	check_topic = "read and write past configuration space";
	region_info(device, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	check_past_end(device, config.offset + config.size, 0);
	check_past_end(device, config.offset + config.size - 4, 4);

	check_topic = "write to the ROM";
	CHECK_ERR(pwrite(device, &value, 4, rom), EINVAL);
	CHECK_ERR(pwrite(device, &value, 1, rom + 0x100), EINVAL);
}

static void check_widths(int device)
{
	void *volatile nowhere = NULL;	/* the compiler must not know */
	unsigned char bytes[16];
	uint32_t value;

	check_topic = "BAR0 read of each width";
	CHECK_EQ(pread(device, bytes, 0, 0), 0);
	for (size_t width = 1; width <= 3; width++) {
		/* The device answers nothing but whole registers. */
		memset(bytes, 0xcc, sizeof(bytes));
		CHECK_EQ(pread(device, bytes, width, 0), width);
		CHECK(bytes[0] == 0 && bytes[width - 1] == 0);
		CHECK_EQ(bytes[width], 0xcc);
	}
	memset(bytes, 0xcc, sizeof(bytes));
	CHECK_EQ(pread(device, bytes, 4, 0), 4);
	memcpy(&value, bytes, 4);
	CHECK_EQ(value, EDU_ID);
	CHECK_EQ(bytes[4], 0xcc);

	CHECK_EQ(bar_write(device, 4, 0x12345678), 0);
	memset(bytes, 0xcc, sizeof(bytes));
	CHECK_EQ(pread(device, bytes, 8, 0), 8);
	memcpy(&value, bytes, 4);
	CHECK_EQ(value, EDU_ID);
	memcpy(&value, bytes + 4, 4);
	CHECK_EQ(value, ~0x12345678u);
	CHECK_EQ(bytes[8], 0xcc);

	check_topic = "BAR0 write narrower than a register";
	CHECK_EQ(pwrite(device, "\x55", 1, 4), 1);
	CHECK_EQ(bar_read(device, 4), ~0x12345678u);

	check_topic = "BAR0 bad buffers";
	CHECK_ERR(pread(device, nowhere, 4, 0), EFAULT);
	CHECK_ERR(pread(device, (void *)0xffff888000000000, 4, 0), EFAULT);
	CHECK_ERR(pwrite(device, nowhere, 4, 4), EFAULT);
	CHECK_EQ(bar_read(device, 4), ~0x12345678u);
}

static void check_file_position(int device)
{
	const off_t config = region_at(VFIO_PCI_CONFIG_REGION_INDEX, 0);
	uint32_t value = 0;

	check_topic = "read and lseek";
	CHECK_EQ(lseek(device, 0, SEEK_SET), 0);
	CHECK_EQ(read(device, &value, 4), 4);
	CHECK_EQ(value, EDU_ID);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 4);
	CHECK_EQ(lseek(device, config, SEEK_SET), config);
	CHECK_EQ(read(device, &value, 4), 4);
	CHECK_EQ(value, 0x11e81234);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), config + 4);
	CHECK_EQ(lseek(device, 4, SEEK_SET), 4);
	value = 0xaaaa5555;
	CHECK_EQ(write(device, &value, 4), 4);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 8);
	CHECK_EQ(bar_read(device, 4), 0x5555aaaa);
}

static void check_mmap(int device)
{
	void *map;

	check_topic = "mmap of the device";
	for (int i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   device, region_at(i, 0));
		CHECK(map == MAP_FAILED && (errno == ENODEV ||
					    errno == EINVAL));
		if (map != MAP_FAILED)
			munmap(map, PAGE);
	}
	/* The kernel does not ask the device about private mappings. */
	map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, device, 0);
	note("private mmap: %s", map == MAP_FAILED ? errno_name(errno) : "0");
	if (map != MAP_FAILED)
		munmap(map, PAGE);
}

/* -------------------------------------------------- configuration space */

static unsigned int find_capability(int device, unsigned int id)
{
	unsigned int at = config_read(device, 0x34, 1) & 0xfc;

	for (int left = 48; at >= 0x40 && at < 0x100 && left; left--) {
		if (config_read(device, at, 1) == id)
			return at;
		at = config_read(device, at + 1, 1) & 0xfc;
	}
	return 0;
}

static void check_config_reads(int device)
{
	const off_t config = region_at(VFIO_PCI_CONFIG_REGION_INDEX, 0);
	unsigned char bytes[16], whole[256];

	check_topic = "configuration space";
	CHECK_EQ(config_read(device, 0x00, 2), 0x1234);
	CHECK_EQ(config_read(device, 0x02, 2), 0x11e8);
	CHECK_EQ(config_read(device, 0x00, 4), 0x11e81234);
	CHECK_EQ(config_read(device, 0x08, 1), 0x10);
	CHECK_EQ(config_read(device, 0x08, 4), 0x00ff0010);
	CHECK_EQ(config_read(device, 0x09, 3), 0x00ff00);
	CHECK_EQ(config_read(device, 0x01, 2), 0xe812);
	CHECK_EQ(config_read(device, 0x0e, 1) & 0x7f, 0);
	CHECK_EQ(config_read(device, 0x3d, 1), 1);
	CHECK(config_read(device, 0x06, 2) & 0x10);
	CHECK_EQ(pread(device, bytes, 8, config), 8);
	CHECK(!memcmp(bytes, "\x34\x12\xe8\x11", 4));
	CHECK_EQ(pread(device, whole, sizeof(whole), config), sizeof(whole));
	CHECK(!memcmp(whole, bytes, 8));
	CHECK_EQ(pread(device, bytes, 0, config), 0);

	check_topic = "capabilities";
	CHECK(find_capability(device, 0x05) != 0);	/* MSI */
	CHECK_EQ(find_capability(device, 0x11), 0);	/* MSI-X */
	/* One vector, 64-bit addresses, off. */
	CHECK_EQ(config_read(device, find_capability(device, 0x05) + 2, 2) &
		 0x8f, 0x80);
}

static void check_config_writes(int device)
{
	uint32_t bar = config_read(device, 0x10, 4);
	uint32_t command = config_read(device, 0x04, 2);
	uint32_t line = config_read(device, 0x3c, 1);

	check_topic = "BAR sizing";
	CHECK_EQ(bar & 0xf, 0);
	CHECK_EQ(config_write(device, 0x10, 4, ~0u), 0);
	CHECK_EQ(config_read(device, 0x10, 4), 0xfff00000);
	CHECK_EQ(config_write(device, 0x10, 4, 0x12345678), 0);
	CHECK_EQ(config_read(device, 0x10, 4), 0x12300000);
	CHECK_EQ(config_write(device, 0x10, 4, bar), 0);
	CHECK_EQ(config_read(device, 0x10, 4), bar);
	for (unsigned int at = 0x14; at <= 0x24; at += 4) {
		CHECK_EQ(config_write(device, at, 4, ~0u), 0);
		CHECK_EQ(config_read(device, at, 4), 0);
	}
	CHECK_EQ(config_write(device, 0x30, 4, ~0u), 0);	/* ROM */
	CHECK_EQ(config_read(device, 0x30, 4), 0);
	/* All that is the bus's view: the region stays where it is. */
	CHECK_EQ(bar_read(device, 0), EDU_ID);

	check_topic = "read-only configuration registers";
	CHECK_EQ(config_write(device, 0x00, 4, 0), 0);
	CHECK_EQ(config_read(device, 0x00, 4), 0x11e81234);
	CHECK_EQ(config_write(device, 0x08, 4, 0), 0);
	CHECK_EQ(config_read(device, 0x08, 4), 0x00ff0010);
	CHECK_EQ(config_write(device, 0x3d, 1, 2), 0);
	CHECK_EQ(config_read(device, 0x3d, 1), 1);

	check_topic = "writable configuration registers";
	CHECK_EQ(config_write(device, 0x04, 2, command | 0x4), 0);
	CHECK_EQ(config_read(device, 0x04, 2) & 0x4, 0x4);
	CHECK_EQ(config_write(device, 0x04, 2, command & ~0x4), 0);
	CHECK_EQ(config_read(device, 0x04, 2) & 0x4, 0);
	CHECK_EQ(config_write(device, 0x04, 2, command), 0);
	CHECK_EQ(config_write(device, 0x3c, 1, 0x5a), 0);
	CHECK_EQ(config_read(device, 0x3c, 1), 0x5a);
	CHECK_EQ(config_write(device, 0x3c, 1, line), 0);
}

int main(void)
{
	int group, device;

	check_start(60);
	group = open_group();
	device = get_device(group);
	check_topic = "device";
	NEED(device >= 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE |
		 VFIO_GROUP_FLAGS_MM_LOCKED);
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	check_device_info(device);
	check_region_info(device);
	check_irq_info(device);
	check_offsets(device);
	check_widths(device);
	check_file_position(device);
	check_mmap(device);
	check_config_reads(device);
	check_config_writes(device);
	check_topic = "reset";
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	check_topic = "device closed";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	return check_done();
}
