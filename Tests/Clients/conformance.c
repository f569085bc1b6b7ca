/*
 * Every ioctl of every kind of descriptor: the right answers, and every error
 * rule that a single process can see.
 */
#include "check.h"
#include "client.h"

#include <limits.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define UNKNOWN_FLAG	(1u << 31)
#define NO_REQUEST	_IO(VFIO_TYPE, VFIO_BASE + 99)

/* ------------------------------------------------------- bad arguments */

/* Two pages, of which only the first can be touched. */
static char *page_before_hole(void)
{
	char *page = new_pages(2);

	mprotect(page + PAGE, PAGE, PROT_NONE);
	return page;
}

/* An argument at an address that goes wrong in each of the ways there are. */
static void check_pointers(int fd, unsigned long request, const void *good,
			   size_t size, int has_result)
{
	char *page = page_before_hole();
	char *none = page + PAGE;
	char *half = none - size / 2;
	char *last = none - size;
	char *gone = new_pages(1);

	munmap(gone, PAGE);
	CHECK_ERR(ioctl(fd, request, NULL), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)8), EFAULT);
	CHECK_ERR(ioctl(fd, request, none), EFAULT);
	CHECK_ERR(ioctl(fd, request, gone), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)0xffff888000000000), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)(ULONG_MAX - 7)), EFAULT);
	memcpy(half, good, size / 2);
	CHECK_ERR(ioctl(fd, request, half), EFAULT);
	if (has_result) {
		memcpy(last, good, size);
		CHECK_OK(ioctl(fd, request, last));
		memcpy(last, good, size);
		mprotect(page, PAGE, PROT_READ);
		CHECK_ERR(ioctl(fd, request, last), EFAULT);
	}
	munmap(page, 2 * PAGE);
}

/* A copy of an argument with another argsz and another flag. */
static long with_header(int fd, unsigned long request, const void *good,
			size_t size, uint32_t argsz, uint32_t more_flags)
{
	uint32_t copy[16];

	memcpy(copy, good, size);
	copy[0] = argsz;
	copy[1] |= more_flags;
	return ioctl(fd, request, copy);
}

/* The two words that every structure starts with, where the answer is info. */
static void check_info_header(int fd, unsigned long request, const void *good,
			      size_t size)
{
	char *page = page_before_hole();
	uint32_t *last = (uint32_t *)(page + PAGE - size);

	CHECK_ERR(with_header(fd, request, good, size, 0, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, 4, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size - 4, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size - 1, 0), EINVAL);
	CHECK_OK(with_header(fd, request, good, size, size, 0));
	CHECK_OK(with_header(fd, request, good, size, size + 1, 0));
	CHECK_OK(with_header(fd, request, good, size, 4096, 0));
	CHECK_OK(with_header(fd, request, good, size, UINT32_MAX, 0));
	CHECK_ERR(with_header(fd, request, good, size, size, UNKNOWN_FLAG),
		  EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size, 1u << 8), EINVAL);

	/* A larger argsz is no reason to touch what lies behind. */
	memcpy(last, good, size);
	last[0] = 4096;
	CHECK_OK(ioctl(fd, request, last));
	/* The flags of one answer are known flags in the next request. */
	last[0] = size;
	CHECK_OK(ioctl(fd, request, last));
	munmap(page, 2 * PAGE);
}

static void check_unknown_requests(int fd)
{
	uint64_t room[64] = { 0 };

	CHECK_ERR(ioctl(fd, NO_REQUEST, room), ENOTTY);
	CHECK_ERR(ioctl(fd, NO_REQUEST, NULL), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE - 1), room), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 15), room), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO('!', VFIO_BASE), room), ENOTTY);
	/* Known numbers with another size are other requests. */
	CHECK_ERR(ioctl(fd, _IOWR(VFIO_TYPE, VFIO_BASE, uint64_t), room),
		  ENOTTY);
	CHECK_ERR(ioctl(fd, _IOR(VFIO_TYPE, VFIO_BASE + 8, uint64_t), room),
		  ENOTTY);
}

/* What one kind of descriptor knows is unknown to the others. */
static void check_foreign_requests(int fd, const unsigned long *foreign,
				   size_t count)
{
	uint64_t room[64] = { 0 };

	for (size_t i = 0; i < count; i++) {
		char what[40];

		snprintf(what, sizeof(what), "request %#lx", foreign[i]);
		errno = 0;
		check_error(__FILE__, __LINE__, what, "ENOTTY",
			    ioctl(fd, foreign[i], room), ENOTTY);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const unsigned long group_requests[] = {
	VFIO_GROUP_GET_INFO, VFIO_GROUP_MERGE, VFIO_GROUP_UNMERGE,
	VFIO_GROUP_GET_IOMMU_FD, VFIO_GROUP_GET_DEVICE_FD,
};
static const unsigned long iommu_requests[] = {
	VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
};
static const unsigned long device_requests[] = {
	VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
	VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQ_EVENTFDS,
	VFIO_DEVICE_UNMASK_IRQ, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS,
	VFIO_DEVICE_RESET,
};

/* --------------------------------------------------------------- groups */

static void check_group_info(int group)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };

	check_topic = "group info";
	CHECK_EQ(ioctl(group, VFIO_GROUP_GET_INFO, &info), 0);
	CHECK_EQ(info.flags, VFIO_GROUP_FLAGS_VIABLE);
	CHECK_EQ(info.argsz, sizeof(info));
	info.flags = 0;
	check_info_header(group, VFIO_GROUP_GET_INFO, &info, sizeof(info));
	check_pointers(group, VFIO_GROUP_GET_INFO, &info, sizeof(info), 1);
}

static void check_group_file(int group)
{
	char bytes[8] = { 0 };

	check_topic = "group file";
	CHECK_ERR(read(group, bytes, sizeof(bytes)), EINVAL);
	CHECK_ERR(write(group, bytes, sizeof(bytes)), EINVAL);
	check_topic = "unknown requests on the group";
	check_unknown_requests(group);
	check_foreign_requests(group, iommu_requests, COUNT(iommu_requests));
	check_foreign_requests(group, device_requests, COUNT(device_requests));
	CHECK_EQ(is_locked(group), 0);
}

static int merge(int group, int fd)
{
	__s32 argument = fd;

	return ioctl(group, VFIO_GROUP_MERGE, &argument);
}

static int closed_fd(void)
{
	int fd = open("/dev/null", O_RDONLY), high = fcntl(fd, F_DUPFD, 200);

	close(fd);
	close(high);
	return high;
}

static void check_merge(int group)
{
	int event = eventfd(0, 0), again = open_group(), device, iommu;
	__s32 argument = -1;

	check_topic = "merge";
	CHECK_ERR(merge(group, -1), EINVAL);
	CHECK_ERR(merge(group, INT_MIN), EINVAL);
	CHECK_ERR(merge(group, closed_fd()), EBADF);
	CHECK_ERR(merge(group, INT_MAX), EBADF);
	CHECK_ERR(merge(group, STDOUT_FILENO), EINVAL);
	CHECK_ERR(merge(group, event), EINVAL);
	CHECK_ERR(merge(group, group), EINVAL);
	CHECK_ERR(merge(group, again), EINVAL);
	check_pointers(group, VFIO_GROUP_MERGE, &argument, sizeof(argument), 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);

	device = get_device(group);
	iommu = get_iommu(group);
	CHECK_ERR(merge(group, device), EINVAL);
	CHECK_ERR(merge(group, iommu), EINVAL);
	CHECK_ERR(merge(group, again), EINVAL);
	close(device);
	close(iommu);

	check_topic = "unmerge";
	CHECK_ERR(ioctl(group, VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_ERR(ioctl(again, VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	close(event);
	close(again);
}

/* What the C library would see of any new file. */
static void check_new_fd(int fd, int expected)
{
	CHECK_EQ(fd, expected);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
}

static void check_fd_numbers(int group)
{
	int a, b, low, fd;

	check_topic = "number of a new device fd";
	low = lowest_free_fd();
	fd = get_device(group);
	check_new_fd(fd, low);
	close(fd);
	CHECK_EQ(lowest_free_fd(), low);

	check_topic = "number of a new iommu fd";
	fd = get_iommu(group);
	check_new_fd(fd, low);
	close(fd);
	CHECK_EQ(lowest_free_fd(), low);

	check_topic = "a hole in the descriptor table";
	a = dup(STDIN_FILENO);
	b = dup(STDIN_FILENO);
	close(a);
	fd = get_device(group);
	CHECK_EQ(fd, a);
	close(fd);
	fd = get_iommu(group);
	CHECK_EQ(fd, a);
	close(fd);
	close(b);

	check_topic = "descriptor 0 is free";
	a = fcntl(STDIN_FILENO, F_DUPFD, 100);
	close(STDIN_FILENO);
	fd = get_device(group);
	CHECK_EQ(fd, 0);
	close(fd);
	fd = get_iommu(group);
	CHECK_EQ(fd, 0);
	dup2(a, STDIN_FILENO);
	close(a);
	CHECK_EQ(is_locked(group), 0);
}

static long get_named(int group, const char *name)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

	if (fd >= 0)
		close(fd);
	return fd;
}

static void check_device_names(int group)
{
	const char *name = device_name();
	size_t size = strlen(name) + 1;
	char *page = page_before_hole(), *hole = page + PAGE, *pages, other[80];

	check_topic = "device names";
	CHECK_OK(get_named(group, name));
	CHECK_ERR(get_named(group, ""), ENODEV);
	CHECK_ERR(get_named(group, "0000:00:00.7"), ENODEV);
	CHECK_ERR(get_named(group, "no such device"), ENODEV);
	snprintf(other, sizeof(other), "%s0", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, sizeof(other), " %s", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, sizeof(other), "%s\n", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, strlen(name), "%s", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	CHECK_ERR(get_named(group, "\xff\xfe\x80 no UTF-8"), ENODEV);

	check_topic = "a name at the end of a page";
	CHECK_OK(get_named(group, memcpy(hole - size, name, size)));
	memset(page, 'x', PAGE);
	CHECK_ERR(get_named(group, hole - 4), EFAULT);
	CHECK_ERR(get_named(group, hole - 1), EFAULT);
	CHECK_ERR(get_named(group, hole), EFAULT);
	CHECK_ERR(get_named(group, NULL), EFAULT);
	CHECK_ERR(get_named(group, (char *)8), EFAULT);
	CHECK_ERR(get_named(group, (char *)0xffff888000000000), EFAULT);
	hole[-1] = 0;
	CHECK_ERR(get_named(group, hole - 1), ENODEV);
	mprotect(page, PAGE, PROT_READ);
	CHECK_ERR(get_named(group, hole - 4), ENODEV);

	check_topic = "a name over a page boundary";
	pages = new_pages(3);
	memcpy(pages + PAGE - 5, name, size);
	CHECK_OK(get_named(group, pages + PAGE - 5));

	check_topic = "a long name";
	memset(pages, 'x', 3 * PAGE);
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE + 1] = 0;
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE] = 0;		/* a page without its NUL */
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE - 1] = 0;		/* a page with its NUL */
	CHECK_ERR(get_named(group, pages), ENODEV);
	CHECK_EQ(is_locked(group), 0);
	munmap(pages, 3 * PAGE);
	munmap(page, 2 * PAGE);
}

/* ---------------------------------------------------------------- IOMMU */

static uint64_t page_size(int iommu)
{
	struct vfio_iommu_info info = { .argsz = sizeof(info) };

	if (ioctl(iommu, VFIO_IOMMU_GET_INFO, &info))
		return 0;
	return info.pgsize_bitmap & -info.pgsize_bitmap;
}

static void check_iommu_info(int iommu)
{
	struct vfio_iommu_info info;
	char bytes[8] = { 0 };

	check_topic = "iommu info";
	memset(&info, 0xff, sizeof(info));
	info.argsz = sizeof(info);
	info.flags = 0;
	CHECK_EQ(ioctl(iommu, VFIO_IOMMU_GET_INFO, &info), 0);
	CHECK_EQ(info.argsz, sizeof(info));
	CHECK_EQ(info.flags, 0);
	CHECK_EQ(info.iova_min, 0);
	CHECK_EQ(info.iova_max, UINT64_MAX);
	CHECK_EQ(info.pgsize_bitmap & -info.pgsize_bitmap, PAGE);
	check_info_header(iommu, VFIO_IOMMU_GET_INFO, &info, sizeof(info));
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_GET_INFO, &info, sizeof(info),
			      sizeof(info), 1), EINVAL);
	check_pointers(iommu, VFIO_IOMMU_GET_INFO, &info, sizeof(info), 1);

	check_topic = "iommu file";
	CHECK_ERR(read(iommu, bytes, sizeof(bytes)), EINVAL);
	CHECK_ERR(write(iommu, bytes, sizeof(bytes)), EINVAL);
	check_topic = "unknown requests on the iommu";
	check_unknown_requests(iommu);
	check_foreign_requests(iommu, group_requests, COUNT(group_requests));
	check_foreign_requests(iommu, device_requests, COUNT(device_requests));
}

static void check_map_header(int iommu, char *memory)
{
	const struct vfio_dma_map map = {
		.argsz = sizeof(map),
		.flags = MAP_RW,
		.vaddr = (uintptr_t)memory,
		.iova = 0x10000,
		.size = PAGE,
	};
	const struct vfio_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = 0x10000,
		.size = PAGE,
	};
	struct vfio_dma_map *constant = new_pages(1);

	check_topic = "map header";
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_MAP_DMA, &map, 32, 0, 0),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_MAP_DMA, &map, 32, 31, 0),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_MAP_DMA, &map, 32, 32, 1 << 2),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_MAP_DMA, &map, 32, 32,
			      UNKNOWN_FLAG), EINVAL);
	check_pointers(iommu, VFIO_IOMMU_MAP_DMA, &map, sizeof(map), 0);
	CHECK_OK(with_header(iommu, VFIO_IOMMU_MAP_DMA, &map, 32, 4096, 0));

	check_topic = "unmap header";
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, 24, 0, 0),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, 24, 23, 0),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, 24, 24, 1),
		  EINVAL);
	CHECK_ERR(with_header(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, 24, 24,
			      UNKNOWN_FLAG), EINVAL);
	check_pointers(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap), 0);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0x10000, PAGE), EBUSY);
	CHECK_OK(with_header(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap, 24, 4096, 0));

	check_topic = "map argument in read-only memory";
	*constant = map;
	mprotect(constant, PAGE, PROT_READ);
	CHECK_OK(ioctl(iommu, VFIO_IOMMU_MAP_DMA, constant));
	CHECK_OK(unmap_dma(iommu, 0x10000, PAGE));
	munmap(constant, PAGE);
}

static void check_map_ranges(int iommu, char *memory)
{
	const uint64_t top = -PAGE;	/* the last page of an address space */
	int last;

	check_topic = "map rules";
	CHECK_ERR(map_dma(iommu, 0, memory, 0, PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory + 1, 0, PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory + 0x800, 0, PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 1, PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0x800, PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, PAGE + 1), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, PAGE - 1), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, 0), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, top, 2 * PAGE), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, PAGE, top), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, (void *)top, 0, 2 * PAGE), EINVAL);
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory, 0, PAGE));
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_WRITE, memory, PAGE, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 1ull << 63, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, top - PAGE, PAGE));
	/* Ends exactly where 64 bits end: iova_max says that this is inside. */
	last = map_dma(iommu, MAP_RW, memory, top, PAGE);
	note("map of the last page: %s", last ? errno_name(errno) : "0");

	check_topic = "unmap rules";
	CHECK_ERR(unmap_dma(iommu, 1, PAGE), EINVAL);
	CHECK_ERR(unmap_dma(iommu, 0x800, PAGE), EINVAL);
	CHECK_ERR(unmap_dma(iommu, 0, PAGE - 1), EINVAL);
	CHECK_ERR(unmap_dma(iommu, 0, PAGE + 0x800), EINVAL);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, PAGE), EBUSY);
	CHECK_OK(unmap_dma(iommu, 0x40000000, PAGE));
	CHECK_OK(unmap_dma(iommu, 0x40000000, 1ull << 40));
	CHECK_OK(unmap_dma(iommu, 0, PAGE));
	CHECK_OK(unmap_dma(iommu, 0, PAGE));
	note("unmap of size 0: %s",
	     unmap_dma(iommu, 0, 0) ? errno_name(errno) : "0");
	note("unmap of a range that wraps: %s",
	     unmap_dma(iommu, top, 2 * PAGE) ? errno_name(errno) : "0");
	if (!last)
		CHECK_OK(unmap_dma(iommu, top, PAGE));
	/* Everything but the very last page in one go. */
	CHECK_OK(unmap_dma(iommu, 0, top));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 1ull << 63, PAGE));
	CHECK_OK(unmap_dma(iommu, 1ull << 63, PAGE));
}

static void check_map_overlap(int iommu, char *memory)
{
	check_topic = "overlap";
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 2 * PAGE, 2 * PAGE));
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 2 * PAGE, 2 * PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, PAGE, 2 * PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 3 * PAGE, 2 * PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, PAGE, 4 * PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 3 * PAGE, PAGE), EBUSY);
	/* What a refused mapping would have covered is still free. */
	CHECK_OK(map_dma(iommu, MAP_RW, memory, PAGE, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 4 * PAGE, PAGE));
	CHECK_OK(unmap_dma(iommu, PAGE, 4 * PAGE));
}

static void check_map_split(int iommu, char *memory)
{
	check_topic = "split";
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, 4 * PAGE));
	CHECK_OK(unmap_dma(iommu, PAGE, PAGE));
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 2 * PAGE, PAGE), EBUSY);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 3 * PAGE, PAGE), EBUSY);
	CHECK_OK(map_dma(iommu, MAP_RW, memory + 5 * PAGE, PAGE, PAGE));
	/* The head of one piece and the tail of another. */
	CHECK_OK(unmap_dma(iommu, 3 * PAGE, 3 * PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 3 * PAGE, PAGE));
	CHECK_OK(unmap_dma(iommu, 0, 4 * PAGE));

	check_topic = "coalesce";
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory + 2 * PAGE, 2 * PAGE, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory + PAGE, PAGE, PAGE));
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, 3 * PAGE), EBUSY);
	CHECK_OK(unmap_dma(iommu, PAGE, PAGE));
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory + PAGE, PAGE,
			 PAGE));
	CHECK_OK(unmap_dma(iommu, 0, 3 * PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, 3 * PAGE));
	CHECK_OK(unmap_dma(iommu, 0, 3 * PAGE));
}

static void check_map_memory(int iommu)
{
	char *memory = new_pages(4);

	check_topic = "memory to map";
	CHECK_ERR(map_dma(iommu, MAP_RW, NULL, 0, PAGE), EFAULT);
	CHECK_ERR(map_dma(iommu, MAP_RW, (void *)0xffff888000000000, 0, PAGE),
		  EFAULT);
	munmap(memory + 2 * PAGE, PAGE);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, 4 * PAGE), EFAULT);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory + 2 * PAGE, 0, PAGE), EFAULT);
	/* Nothing of the good pages before the hole stayed mapped. */
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, 2 * PAGE));
	CHECK_OK(unmap_dma(iommu, 0, 2 * PAGE));

	mprotect(memory + PAGE, PAGE, PROT_NONE);
	CHECK_ERR(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory + PAGE, 0,
			  PAGE), EFAULT);
	CHECK_ERR(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory, 0, 2 * PAGE),
		  EFAULT);
	mprotect(memory, PAGE, PROT_READ);
	CHECK_ERR(map_dma(iommu, VFIO_DMA_MAP_FLAG_WRITE, memory, 0, PAGE),
		  EFAULT);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, PAGE), EFAULT);
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory, 0, PAGE));
	CHECK_OK(unmap_dma(iommu, 0, PAGE));
	munmap(memory, 4 * PAGE);
}

/* CAP_IPC_LOCK lifts the limit. */
static int may_lock_memory(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long long effective = 0;
	char line[128];

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (status)
		fclose(status);
	return !!(effective & (1 << 14));
}

static void check_lock_limit(int iommu, char *memory)
{
	struct rlimit old, few = { 0 };

	check_topic = "locked memory limit";
	getrlimit(RLIMIT_MEMLOCK, &old);
	few.rlim_max = old.rlim_max;
	few.rlim_cur = 2 * PAGE;
	setrlimit(RLIMIT_MEMLOCK, &few);
	if (may_lock_memory()) {
		CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, 4 * PAGE));
	} else {
		CHECK_ERR(map_dma(iommu, MAP_RW, memory, 0, 4 * PAGE), ENOMEM);
		CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, 2 * PAGE));
		CHECK_ERR(map_dma(iommu, MAP_RW, memory + 2 * PAGE, 2 * PAGE,
				  PAGE), ENOMEM);
		/* Unmapping gives back what mapping took. */
		CHECK_OK(unmap_dma(iommu, PAGE, PAGE));
		CHECK_OK(map_dma(iommu, MAP_RW, memory + 2 * PAGE, 2 * PAGE,
				 PAGE));
	}
	CHECK_OK(unmap_dma(iommu, 0, 4 * PAGE));
	setrlimit(RLIMIT_MEMLOCK, &old);
}

/* All iommu descriptors are one object, which lives as long as any fd of it. */
static void check_iommu_object(int group, char *memory)
{
	int first = get_iommu(group), second = get_iommu(group);
	int device = get_device(group);

	check_topic = "one iommu object";
	CHECK(first >= 0 && second >= 0 && device >= 0);
	CHECK_OK(map_dma(first, MAP_RW, memory, 0, PAGE));
	CHECK_ERR(map_dma(second, MAP_RW, memory, 0, PAGE), EBUSY);
	close(first);
	CHECK_ERR(map_dma(second, MAP_RW, memory, 0, PAGE), EBUSY);
	close(second);
	/* The device keeps it alive. */
	second = get_iommu(group);
	CHECK_ERR(map_dma(second, MAP_RW, memory, 0, PAGE), EBUSY);
	close(second);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	second = get_iommu(group);
	CHECK_OK(map_dma(second, MAP_RW, memory, 0, PAGE));
	close(second);
	CHECK_EQ(is_locked(group), 0);
}

static void check_iommu(int group)
{
	char *memory = new_pages(8);
	int iommu = get_iommu(group);

	check_topic = "iommu";
	NEED(iommu >= 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE |
		 VFIO_GROUP_FLAGS_MM_LOCKED);
	CHECK_EQ(page_size(iommu), PAGE);
	check_iommu_info(iommu);
	check_map_header(iommu, memory);
	check_map_ranges(iommu, memory);
	check_map_overlap(iommu, memory);
	check_map_split(iommu, memory);
	check_map_memory(iommu);
	check_lock_limit(iommu, memory);
	close(iommu);
	check_topic = "iommu closed";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	check_iommu_object(group, memory);
	munmap(memory, 8 * PAGE);
}

/* --------------------------------------------------------------- device */

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

/* ----------------------------------------------------------- interrupts */

#define SET	VFIO_DEVICE_SET_IRQ_EVENTFDS
#define SET_UNMASK VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS
#define INTX	VFIO_PCI_INTX_IRQ_INDEX
#define MSI	VFIO_PCI_MSI_IRQ_INDEX
#define MSIX	VFIO_PCI_MSIX_IRQ_INDEX

/* The eventfds argument of one eventfd, to be spoilt. */
struct one_eventfd {
	uint32_t argsz, flags, index, count;
	int32_t fd;
};

static void check_eventfds_argument(int device, unsigned long request, int event)
{
	const struct one_eventfd good = {
		.argsz = sizeof(good), .index = INTX, .count = 1, .fd = event,
	};
	struct one_eventfd arg = good;
	char *page = page_before_hole();

	CHECK_ERR(with_header(device, request, &good, 20, 0, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 12, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 16, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 19, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 20, 1), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 20, UNKNOWN_FLAG),
		  EINVAL);
	arg.index = VFIO_PCI_NUM_IRQS;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.index = UINT32_MAX;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg = good;
	arg.count = 2;
	arg.argsz = sizeof(arg) + 4;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.count = UINT32_MAX;		/* 16 + 4 * count wraps to 12 */
	arg.argsz = sizeof(arg);
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.count = 1u << 30;		/* and to 16 */
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg = good;
	arg.fd = STDOUT_FILENO;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.fd = device;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.fd = closed_fd();
	CHECK_ERR(ioctl(device, request, &arg), EBADF);
	check_pointers(device, request, &good, sizeof(good), 0);
	/* The header can be read, the eventfd behind it cannot. */
	memcpy(page + PAGE - 16, &good, 16);
	CHECK_ERR(ioctl(device, request, page + PAGE - 16), EFAULT);
	munmap(page, 2 * PAGE);
}

static void check_set_irq(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);

	check_topic = "set irq argument";
	check_eventfds_argument(device, SET, event);

	check_topic = "set irq rules";
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_ERR(set_irq(device, MSIX, event), EINVAL);
	CHECK_ERR(set_eventfd(device, SET, MSI, 2, event), EINVAL);
	/* None of the refused ones has left INTx set. */
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_ERR(set_irq(device, INTX, event), EINVAL);
	CHECK_ERR(set_irq(device, INTX, other), EINVAL);
	CHECK_ERR(set_irq(device, MSI, other), EINVAL);
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_OK(clear_irq(device, INTX));
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_OK(set_irq(device, MSI, event));
	CHECK_ERR(set_irq(device, MSI, other), EINVAL);
	CHECK_ERR(set_irq(device, INTX, other), EINVAL);
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_OK(clear_irq(device, MSI));
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_OK(set_irq(device, INTX, other));
	CHECK_OK(clear_irq(device, INTX));
	note("INTx with eventfd -1: %s",
	     set_irq(device, INTX, -1) ? errno_name(errno) : "0");
	clear_irq(device, INTX);
	note("MSI with eventfd -1: %s",
	     set_irq(device, MSI, -1) ? errno_name(errno) : "0");
	clear_irq(device, MSI);

	/* The device holds its own reference to an eventfd. */
	check_topic = "eventfd closed while set";
	CHECK_OK(set_irq(device, INTX, other));
	close(other);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
}

static void check_unmask(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	const struct vfio_unmask_irq good = {
		.argsz = sizeof(good), .index = INTX,
	};

	note("unmask while INTx is not set: %s",
	     unmask_irq(device, INTX, 0) ? errno_name(errno) : "0");
	note("unmask eventfd while INTx is not set: %s",
	     set_eventfd(device, SET_UNMASK, INTX, 1, unmask) ?
	     errno_name(errno) : "0");
	set_eventfd(device, SET_UNMASK, INTX, 0, -1);

	check_topic = "unmask irq";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_ERR(unmask_irq(device, INTX, 1), EINVAL);
	CHECK_ERR(unmask_irq(device, INTX, UINT32_MAX), EINVAL);
	CHECK_ERR(unmask_irq(device, MSI, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, MSIX, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, VFIO_PCI_NUM_IRQS, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, UINT32_MAX, 0), EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 0, 0),
		  EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 15, 0),
		  EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 16,
			      UNKNOWN_FLAG), EINVAL);
	CHECK_OK(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 64, 0));
	check_pointers(device, VFIO_DEVICE_UNMASK_IRQ, &good, sizeof(good), 0);

	check_topic = "set unmask irq argument";
	check_eventfds_argument(device, SET_UNMASK, unmask);
	check_topic = "set unmask irq rules";
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSI, 1, unmask), EINVAL);
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSIX, 1, unmask), EINVAL);
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSI, 0, -1), EINVAL);
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 1, unmask));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 0, -1));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 1, unmask));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 0, -1));
	CHECK_OK(clear_irq(device, INTX));

	/* Nothing was asserted, so nothing has fired. */
	check_topic = "no interrupt out of nowhere";
	CHECK_ERR(read(event, &(uint64_t){ 0 }, 8), EAGAIN);
	close(event);
	close(unmask);
}

static void check_device(int group)
{
	int device = get_device(group);

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
	check_set_irq(device);
	check_unmask(device);
	check_topic = "reset";
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	check_topic = "device closed";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
}

/* ------------------------------------------------------------- lifetimes */

static void check_two_opens(int group)
{
	int first = get_device(group), second = get_device(group);
	int sibling = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			    second_device_name());

	check_topic = "two opens of one device";
	CHECK(first >= 0 && second >= 0 && first != second);
	CHECK_EQ(lseek(first, 8, SEEK_SET), 8);
	CHECK_EQ(lseek(second, 0, SEEK_CUR), 0);
	/* Two descriptors, one device. */
	CHECK_OK(bar_write(first, 4, 0x01020304));
	CHECK_EQ(bar_read(second, 4), ~0x01020304u);
	close(first);
	CHECK_EQ(bar_read(second, 0), EDU_ID);
	CHECK_EQ(is_locked(group), 1);

	check_topic = "two devices of one group";
	CHECK(sibling >= 0);
	CHECK_EQ(bar_read(sibling, 0), EDU_ID);
	CHECK_OK(bar_write(sibling, 4, 0x55555555));
	CHECK_EQ(bar_read(second, 4), ~0x01020304u);
	close(second);
	CHECK_EQ(is_locked(group), 1);
	CHECK_EQ(bar_read(sibling, 0), EDU_ID);
	close(sibling);
	CHECK_EQ(is_locked(group), 0);
}

/* Each order in which the three descriptors can go. */
static void check_close_orders(int watch)
{
	static const struct {
		const char *name;
		int order[3];	/* 0 group, 1 iommu, 2 device */
	} cases[] = {
		{ "close group, iommu, device", { 0, 1, 2 } },
		{ "close group, device, iommu", { 0, 2, 1 } },
		{ "close iommu, group, device", { 1, 0, 2 } },
		{ "close iommu, device, group", { 1, 2, 0 } },
		{ "close device, group, iommu", { 2, 0, 1 } },
		{ "close device, iommu, group", { 2, 1, 0 } },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct vfio_iommu_info info = { .argsz = sizeof(info) };
		int group = open_group();
		int fds[3] = { group, get_iommu(group), get_device(group) };
		int left = 2;	/* descriptors that keep the owner */

		check_topic = cases[i].name;
		CHECK(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
		for (int step = 0; step < 3; step++) {
			int which = cases[i].order[step];

			CHECK_EQ(close(fds[which]), 0);
			fds[which] = -1;
			left -= which != 0;
			CHECK_EQ(is_locked(watch), left > 0);
			if (fds[1] >= 0)
				CHECK_EQ(ioctl(fds[1], VFIO_IOMMU_GET_INFO,
					       &info), 0);
			if (fds[2] >= 0)
				CHECK_EQ(bar_read(fds[2], 0), EDU_ID);
		}
	}
}

/* The same, when no other group fd is open meanwhile. */
static void check_reopen(void)
{
	int group = open_group(), device = get_device(group);

	check_topic = "reopen";
	close(group);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	group = open_group();
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	device = get_device(group);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	/* A descriptor of the group from before or after: the same group. */
	close(group);
	group = open_group();
	CHECK_EQ(is_locked(group), 1);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	close(group);
}

int main(void)
{
	int group;

	check_start(300);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_group_info(group);
	check_group_file(group);
	check_merge(group);
	check_fd_numbers(group);
	check_device_names(group);
	check_iommu(group);
	check_device(group);
	check_two_opens(group);
	check_close_orders(group);
	check_topic = "end";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	close(group);
	check_reopen();
	return check_done();
}
