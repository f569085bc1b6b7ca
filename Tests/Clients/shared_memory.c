/*
 * Memory that a client shares with itself or others (memfd, shm): the daemon maps it too, where it can get at
 * the file, and devices reach it all the same where it cannot. On share/topologies/testdev.yaml, under run,
 * where the daemon is our parent and belongs to the same user.
 *
 * shared_memory [huge]: `huge` does so with a huge page, and exits 77 where there is none.
 */
#include "check.h"
#include "client.h"

#define IOVA	0x100000u

/* Registers and commands of testdev: docs/devices.md. */
enum { ADDRESS = 0x10, LENGTH = 0x20, PATTERN = 0x24, COMMAND = 0x28, STATUS = 0x2c };
enum { FILL = 3, BUSY = 1, DONE };

static int device, iommu;
static size_t size = 4 * PAGE;

/* Whether our parent has a file of that name mapped. */
static int is_shown(const char *name)
{
	char path[40], line[512];
	int found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", getppid());
	NEED((maps = fopen(path, "r")) != NULL);
	while (fgets(line, sizeof(line), maps))
		found |= strstr(line, name) != NULL;
	fclose(maps);
	return found;
}

/* Whether a mapping of ours is a way to its file: the right to follow it is root's. */
static int can_follow(const char *name)
{
	char line[512], range[64], path[128];
	int fd = -1;
	FILE *maps = fopen("/proc/self/maps", "r");

	NEED(maps != NULL);
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, name) || sscanf(line, "%63s", range) != 1)
			continue;
		snprintf(path, sizeof(path), "/proc/self/map_files/%s", range);
		fd = open(path, O_RDWR);
	}
	fclose(maps);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* A device writes all of it, and what it wrote is there. */
static void fill(uint32_t *memory, uint32_t pattern)
{
	CHECK_OK(bar_write(device, ADDRESS, IOVA));
	CHECK_OK(bar_write(device, ADDRESS + 4, 0));
	CHECK_OK(bar_write(device, LENGTH, size));
	CHECK_OK(bar_write(device, PATTERN, pattern));
	CHECK_OK(bar_write(device, COMMAND, FILL));
	for (int i = 0; i < 50000 && bar_read(device, STATUS) == BUSY; i++)
		usleep(100);
	CHECK_EQ(bar_read(device, STATUS), DONE);
	CHECK_EQ(memory[0], pattern);
	CHECK_EQ(memory[size / 4 - 1], pattern);
}

static void check_file(const char *name, int fd)
{
	uint32_t *memory;

	NEED(fd >= 0 && ftruncate(fd, size) == 0);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED && size > PAGE * 4)
		exit(77);
	NEED(memory != MAP_FAILED);

	check_topic = "by a descriptor that we have of it";
	CHECK(!is_shown(name));
	CHECK_OK(map_dma(iommu, MAP_RW, memory, IOVA, size));
	CHECK(is_shown(name));
	fill(memory, 0x11111111);
	CHECK_OK(unmap_dma(iommu, IOVA, size));
	for (int i = 0; i < 5000 && is_shown(name); i++)
		usleep(1000);
	CHECK(!is_shown(name));

	check_topic = "by a read-only descriptor";
	munmap(memory, size);
	memory = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	NEED(memory != MAP_FAILED);
	CHECK_OK(map_dma(iommu, VFIO_DMA_MAP_FLAG_READ, memory, IOVA, size));
	CHECK(is_shown(name));
	CHECK_OK(unmap_dma(iommu, IOVA, size));
	munmap(memory, size);

	check_topic = "by none";
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(memory != MAP_FAILED);
	close(fd);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, IOVA, size));
	CHECK_EQ(is_shown(name), can_follow(name));
	fill(memory, 0x22222222);
	CHECK_OK(unmap_dma(iommu, IOVA, size));
	munmap(memory, size);
}

int main(int argc, char **argv)
{
	char name[64];
	int group;

	setenv("VFIO_GROUP", "/dev/vfio/pci:0", 0);
	setenv("VFIO_DEVICE", "0000:01:00.0", 0);
	check_start(60);
	check_topic = "open";
	NEED((group = open_group()) >= 0);
	NEED((device = get_device(group)) >= 0);
	NEED((iommu = get_iommu(group)) >= 0);
	CHECK_OK(config_write(device, 4, 2, 6));
	snprintf(name, sizeof(name), "client-%d-memfd", getpid());
	if (argc > 1 && !strcmp(argv[1], "huge")) {
		size = 2 << 20;
		check_file(name, memfd_create(name, MFD_CLOEXEC | MFD_HUGETLB));
		return check_done();
	}
	check_file(name, memfd_create(name, MFD_CLOEXEC));
	snprintf(name, sizeof(name), "/client-%d-shm", getpid());
	check_file(name, shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	shm_unlink(name);
	return check_done();
}
