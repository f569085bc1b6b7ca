/*
 * What every client of a group does. The defaults are those of the usual test
 * topology: group 240 of bus pci with two edu functions. The environment names
 * others: VFIO_GROUP (a node), VFIO_DEVICE and VFIO_DEVICE2.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#define EDU_ID		0x010000edu
#define EDU_BAR_SIZE	0x100000u
#define PAGE		4096UL

static inline const char *setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value ? value : otherwise;
}

static inline const char *group_path(void)
{
	return setting("VFIO_GROUP", "/dev/vfio/pci:240");
}

static inline const char *device_name(void)
{
	return setting("VFIO_DEVICE", "0000:06:0d.0");
}

static inline const char *second_device_name(void)
{
	return setting("VFIO_DEVICE2", "0000:06:0d.1");
}

static inline int open_group(void)
{
	return open(group_path(), O_RDWR);
}

static inline int get_iommu(int group)
{
	return ioctl(group, VFIO_GROUP_GET_IOMMU_FD);
}

static inline int get_device(int group)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device_name());
}

/* The flags of a group, or -1. */
static inline int group_flags(int group)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };

	if (ioctl(group, VFIO_GROUP_GET_INFO, &info))
		return -1;
	return info.flags;
}

/* Whether a group has an owner; -1 when it cannot tell. */
static inline int is_locked(int group)
{
	int flags = group_flags(group);

	return flags < 0 ? -1 : !!(flags & VFIO_GROUP_FLAGS_MM_LOCKED);
}

/* How long it takes until a group has no owner, in us; -1 when over limit. */
static inline long long unlocked_after(int group, long long limit_us)
{
	long long start = now_us(), waited;

	for (;;) {
		int locked = is_locked(group);

		waited = now_us() - start;
		if (waited > limit_us)
			return -1;
		if (!locked)
			return waited;
		sleep_us(200);
	}
}

/* Region `index` starts there on the device fd: the ABI fixes it. */
static inline off_t region_at(unsigned int index, uint64_t offset)
{
	return ((uint64_t)index << 40) + offset;
}

/* A register of BAR0; ~0 with errno set when that fails. */
static inline uint32_t bar_read(int device, uint32_t offset)
{
	uint32_t value;

	if (pread(device, &value, 4, region_at(VFIO_PCI_BAR0_REGION_INDEX,
					       offset)) != 4)
		return ~0u;
	return value;
}

static inline int bar_write(int device, uint32_t offset, uint32_t value)
{
	return pwrite(device, &value, 4, region_at(VFIO_PCI_BAR0_REGION_INDEX,
						   offset)) == 4 ? 0 : -1;
}

/* `width` bytes of configuration space; ~0 with errno set on failure. */
static inline uint32_t config_read(int device, unsigned int at, size_t width)
{
	uint32_t value = 0;

	if (pread(device, &value, width,
		  region_at(VFIO_PCI_CONFIG_REGION_INDEX, at)) != (ssize_t)width)
		return ~0u;
	return value;
}

static inline int config_write(int device, unsigned int at, size_t width,
			       uint32_t value)
{
	return pwrite(device, &value, width,
		      region_at(VFIO_PCI_CONFIG_REGION_INDEX, at)) ==
		(ssize_t)width ? 0 : -1;
}

static inline int map_dma(int iommu, uint32_t flags, const void *vaddr,
			  uint64_t iova, uint64_t size)
{
	struct vfio_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)vaddr,
		.iova = iova,
		.size = size,
	};

	return ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map);
}

static inline int unmap_dma(int iommu, uint64_t iova, uint64_t size)
{
	struct vfio_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	return ioctl(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

#define MAP_RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* SET_IRQ_EVENTFDS or SET_UNMASK_IRQ_EVENTFDS with at most one eventfd. */
static inline int set_eventfd(int device, unsigned long request,
			      uint32_t index, uint32_t count, int fd)
{
	union {
		struct vfio_irq_eventfds set;
		char room[sizeof(struct vfio_irq_eventfds) + 4];
	} arg = { .set = {
		.argsz = sizeof(struct vfio_irq_eventfds) + 4 * count,
		.index = index,
		.count = count,
	} };

	memcpy(arg.room + sizeof(struct vfio_irq_eventfds), &fd, sizeof(fd));
	return ioctl(device, request, &arg);
}

static inline int set_irq(int device, uint32_t index, int fd)
{
	return set_eventfd(device, VFIO_DEVICE_SET_IRQ_EVENTFDS, index, 1, fd);
}

static inline int clear_irq(int device, uint32_t index)
{
	return set_eventfd(device, VFIO_DEVICE_SET_IRQ_EVENTFDS, index, 0, -1);
}

static inline int unmask_irq(int device, uint32_t index, uint32_t subindex)
{
	struct vfio_unmask_irq unmask = {
		.argsz = sizeof(unmask),
		.index = index,
		.subindex = subindex,
	};

	return ioctl(device, VFIO_DEVICE_UNMASK_IRQ, &unmask);
}

static inline void *new_pages(size_t pages)
{
	void *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return memory;
}

/* The descriptor that the next open will give. */
static inline int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd;
}

#endif /* CLIENT_H */
