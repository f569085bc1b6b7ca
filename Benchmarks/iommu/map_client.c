/*
 * Maps and unmaps distinct pages under vfio-cused run, and asks for something that there is not as often:
 * prints the microseconds of each, a map and an unmap counting as two.
 *
 * map_client [PAGES]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, block = 500;
	int group = open("/dev/vfio/pci:240", O_RDWR);
	int iommu = ioctl(group, VFIO_GROUP_GET_IOMMU_FD);
	char *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	double mapping = 0, nothing = 0, start;

	if (iommu < 0 || memory == MAP_FAILED) {
		perror("VFIO_GROUP_GET_IOMMU_FD");
		return 1;
	}
	/* In turns, so that both see the same machine. */
	for (size_t first = 0; first < pages; first += block) {
		start = now();
		for (size_t i = first; i < first + block; i++) {
			struct vfio_dma_map map = {
				.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
				.vaddr = (uintptr_t)memory + i * 4096, .iova = i * 8192, .size = 4096,
			};

			if (ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map)) {
				perror("VFIO_IOMMU_MAP_DMA");
				return 1;
			}
		}
		for (size_t i = first; i < first + block; i++) {
			struct vfio_dma_unmap unmap = {
				.argsz = sizeof(unmap), .iova = i * 8192, .size = 4096,
			};

			if (ioctl(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap)) {
				perror("VFIO_IOMMU_UNMAP_DMA");
				return 1;
			}
		}
		mapping += now() - start;
		start = now();
		for (size_t i = 0; i < 2 * block; i++)
			ioctl(iommu, _IO(VFIO_TYPE, VFIO_BASE + 60));
		nothing += now() - start;
	}
	printf("%.3f %.3f\n", mapping / pages / 2, nothing / pages / 2);
	return 0;
}
