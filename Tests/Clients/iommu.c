/*
 * The requests of an iommu descriptor: the right answers, and every error rule
 * that a single process can see.
 */
#include "bad_arguments.h"

#include <sys/resource.h>

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

int main(void)
{
	char *memory = new_pages(8);
	int group, iommu;

	check_start(60);
	group = open_group();
	iommu = get_iommu(group);
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
	return check_done();
}
