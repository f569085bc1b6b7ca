/*
 * The usage example of the VFIO document, as it stands there. What C demands
 * beyond it is marked "Not in the document". It prints what each call returned
 * and every field of every structure.
 *
 * The lines of the example are those of the document: `dma_map.vaddr = mmap()`
 * puts a pointer into a __u64, and an int is compared with a __u32, so this
 * file alone is compiled with -Wno-int-conversion -Wno-sign-compare.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/vfio.h>

static void show_result(const char *call, long result)
{
	if (result == -1)
		printf("%s = -1 %s\n", call, strerrorname_np(errno));
	else
		printf("%s = %ld\n", call, result);
}

/* Calls that the rest of the example makes no sense without. */
static void need(long result)
{
	if (result == -1)
		exit(1);
}

static int shown_open(const char *call, const char *path, int flags)
{
	int fd = open(path, flags);

	show_result(call, fd);
	need(fd);
	return fd;
}

static void *shown_mmap(const char *call, void *addr, size_t length, int prot,
			int flags, int fd, off_t offset)
{
	void *memory = mmap(addr, length, prot, flags, fd, offset);

	if (memory == MAP_FAILED)
		show_result(call, -1);
	else
		printf("%s = %p\n", call, memory);
	need((long)memory);
	return memory;
}

static int shown_ioctl(const char *call, int fd, unsigned long request, ...)
{
	va_list args;
	int result;

	va_start(args, request);
	result = ioctl(fd, request, va_arg(args, void *));
	va_end(args);
	show_result(call, result);
	if (request == VFIO_GROUP_GET_IOMMU_FD || request == VFIO_IOMMU_MAP_DMA ||
	    request == VFIO_GROUP_GET_DEVICE_FD)
		need(result);
	return result;
}

/* The example throws results away; so that they show, its calls come here. */
#define open(...) shown_open("open(" #__VA_ARGS__ ")", __VA_ARGS__)
#define mmap(...) shown_mmap("mmap(" #__VA_ARGS__ ")", __VA_ARGS__)
#define ioctl(fd, ...) shown_ioctl("ioctl(" #fd ", " #__VA_ARGS__ ")", fd, \
				   __VA_ARGS__, NULL)

static void show_group_info(const struct vfio_group_info *info)
{
	printf("  argsz %u flags %#x%s%s\n", info->argsz, info->flags,
	       info->flags & VFIO_GROUP_FLAGS_VIABLE ? " VIABLE" : "",
	       info->flags & VFIO_GROUP_FLAGS_MM_LOCKED ? " MM_LOCKED" : "");
}

static void show_iommu_info(const struct vfio_iommu_info *info)
{
	printf("  argsz %u flags %#x iova_max %#llx iova_min %#llx "
	       "pgsize_bitmap %#llx\n", info->argsz, info->flags,
	       info->iova_max, info->iova_min, info->pgsize_bitmap);
}

static void show_device_info(const struct vfio_device_info *info)
{
	printf("  argsz %u flags %#x%s%s num_regions %u num_irqs %u\n",
	       info->argsz, info->flags,
	       info->flags & VFIO_DEVICE_FLAGS_RESET ? " RESET" : "",
	       info->flags & VFIO_DEVICE_FLAGS_PCI ? " PCI" : "",
	       info->num_regions, info->num_irqs);
}

static void show_region_info(const struct vfio_region_info *info)
{
	printf("  argsz %u flags %#x%s%s index %u resv %u size %#llx "
	       "offset %#llx\n", info->argsz, info->flags,
	       info->flags & VFIO_REGION_INFO_FLAG_MMAP ? " MMAP" : "",
	       info->flags & VFIO_REGION_INFO_FLAG_RO ? " RO" : "",
	       info->index, info->resv, info->size, info->offset);
}

static void show_irq_info(const struct vfio_irq_info *info)
{
	printf("  argsz %u flags %#x%s index %u count %u\n",
	       info->argsz, info->flags,
	       info->flags & VFIO_IRQ_INFO_FLAG_LEVEL ? " LEVEL" : "",
	       info->index, info->count);
}

int main(void)
{
	int group, iommu, device, i;
	struct vfio_group_info group_info = { .argsz = sizeof(group_info) };
	struct vfio_iommu_info iommu_info = { .argsz = sizeof(iommu_info) };
	struct vfio_dma_map dma_map = { .argsz = sizeof(dma_map) };
	struct vfio_device_info device_info = { .argsz = sizeof(device_info) };

	/* Open the group */
	group = open("/dev/vfio/pci:240", O_RDWR);

	/* Test the group is viable and available */
	ioctl(group, VFIO_GROUP_GET_INFO, &group_info);
	show_group_info(&group_info);			/* Not in the document */

	if (!(group_info.flags & VFIO_GROUP_FLAGS_VIABLE))
		/* Group is not viable */
		puts("the group is not viable");	/* Not in the document */

	if ((group_info.flags & VFIO_GROUP_FLAGS_MM_LOCKED))
		/* Already in use by someone else */
		puts("the group is already in use");	/* Not in the document */

	/* Get a file descriptor for the IOMMU */
	iommu = ioctl(group, VFIO_GROUP_GET_IOMMU_FD);

	/* Test the IOMMU is what we expect */
	ioctl(iommu, VFIO_IOMMU_GET_INFO, &iommu_info);
	show_iommu_info(&iommu_info);			/* Not in the document */

	/* Allocate some space and setup a DMA mapping */
	dma_map.vaddr = mmap(0, 1024 * 1024, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, 0, 0);
	dma_map.size = 1024 * 1024;
	dma_map.iova = 0; /* 1MB starting at 0x0 from device view */
	dma_map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	ioctl(iommu, VFIO_IOMMU_MAP_DMA, &dma_map);

	/* Get a file descriptor for the device */
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");

	/* Test and setup the device */
	ioctl(device, VFIO_DEVICE_GET_INFO, &device_info);
	show_device_info(&device_info);			/* Not in the document */

	/*
	 * Not in the document: there, this declaration stands at the start of
	 * the first loop's body, out of reach of the second loop, which uses it.
	 */
	struct vfio_region_info reg = { .argsz = sizeof(reg) };

	for (i = 0; i < device_info.num_regions; i++) {

		reg.index = i;

		ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &reg);
		show_region_info(&reg);			/* Not in the document */

		/* Setup mappings... read/write offsets, mmaps
		 * For PCI devices, config space is a region */
	}

	for (i = 0; i < device_info.num_irqs; i++) {
		struct vfio_irq_info irq = { .argsz = sizeof(irq) };

		irq.index = i;

		/* The document passes reg, not irq. */
		ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &reg);
		show_irq_info(&irq);			/* Not in the document */
		show_region_info(&reg);			/* Not in the document */

		/* Setup IRQs... eventfds, VFIO_DEVICE_SET_IRQ_EVENTFDS */
	}

	/* Gratuitous device reset and go... */
	ioctl(device, VFIO_DEVICE_RESET);

	return 0;					/* Not in the document */
}
