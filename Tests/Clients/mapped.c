/*
 * Memory of a device that clients map: the same bytes for the device, for
 * pread and pwrite, and for everybody who has it mapped; and as long as a
 * mapping is there, the device is open. On share/topologies/testdev.yaml.
 */
#include "check.h"
#include "client.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define RAM	VFIO_PCI_BAR2_REGION_INDEX
#define RAM_SIZE (1ul << 20)
#define TABLE	VFIO_PCI_BAR4_REGION_INDEX
#define IOVA	0x100000u

/* Registers and commands of testdev: docs/devices.md. */
enum { ADDRESS = 0x10, OFFSET = 0x18, LENGTH = 0x20, COMMAND = 0x28, STATUS = 0x2c };
enum { LOAD = 1, STORE };
enum { BUSY = 1, DONE };

#define PUT	(PROT_READ | PROT_WRITE)

static void *map(int device, unsigned int region, uint64_t offset, size_t size,
		 int flags)
{
	return mmap(NULL, size, PUT, flags, device, region_at(region, offset));
}

static uint32_t *map_ram(int device, uint64_t offset, size_t size)
{
	uint32_t *ram = map(device, RAM, offset, size, MAP_SHARED);

	NEED(ram != MAP_FAILED);
	return ram;
}

static uint32_t load(int device, uint64_t offset)
{
	uint32_t value = ~0u;

	CHECK_EQ(pread(device, &value, 4, region_at(RAM, offset)), 4);
	return value;
}

static void store(int device, uint64_t offset, uint32_t value)
{
	CHECK_EQ(pwrite(device, &value, 4, region_at(RAM, offset)), 4);
}

/* The device copies bytes at IOVA to its memory or back. */
static void transfer(int device, uint32_t command, uint32_t offset, uint32_t length)
{
	uint32_t status;

	CHECK_OK(bar_write(device, ADDRESS, IOVA));
	CHECK_OK(bar_write(device, ADDRESS + 4, 0));
	CHECK_OK(bar_write(device, OFFSET, offset));
	CHECK_OK(bar_write(device, OFFSET + 4, 0));
	CHECK_OK(bar_write(device, LENGTH, length));
	CHECK_OK(bar_write(device, COMMAND, command));
	for (int i = 0; i < 50000 && (status = bar_read(device, STATUS)) == BUSY; i++)
		sleep_us(200);
	CHECK_EQ(status, DONE);
}

static void check_regions(int device)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = RAM };

	check_topic = "regions";
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
	CHECK_EQ(info.size, RAM_SIZE);
	CHECK(info.flags & VFIO_REGION_INFO_FLAG_MMAP);
	info.index = 0;
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
	CHECK(!(info.flags & VFIO_REGION_INFO_FLAG_MMAP));
}

/* What follows it in our file is no memory of the device's. */
static void check_growth(int device)
{
	void *ram = map(device, RAM, 0, RAM_SIZE, MAP_SHARED), *heap;

	check_topic = "mremap";
	NEED(ram != MAP_FAILED);
	CHECK(mremap(ram, RAM_SIZE, 2 * RAM_SIZE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap(ram, 0, RAM_SIZE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap(ram, RAM_SIZE, PAGE, 0) == ram);
	CHECK(mremap(ram, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	CHECK_OK(munmap(ram, PAGE));
	heap = mmap(NULL, PAGE, PUT, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	heap = mremap(heap, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	CHECK(heap != MAP_FAILED);
	CHECK_OK(munmap(heap, 4 * PAGE));
}

/* The pages of a device are nobody's locked memory. */
static void check_limit(int iommu, void *memory, void *ram)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct all[2], some[2];
	struct rlimit before, none;

	check_topic = "limit of locked memory";
	NEED(syscall(SYS_capget, &header, all) == 0);
	memcpy(some, all, sizeof(some));
	some[0].effective &= ~(1u << CAP_IPC_LOCK);
	NEED(syscall(SYS_capset, &header, some) == 0);
	NEED(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	NEED(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, IOVA, PAGE), ENOMEM);
	CHECK_OK(map_dma(iommu, MAP_RW, ram, IOVA, PAGE));
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, IOVA + PAGE, PAGE), ENOMEM);
	CHECK_OK(unmap_dma(iommu, IOVA, PAGE));
	NEED(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
	NEED(syscall(SYS_capset, &header, all) == 0);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, IOVA, PAGE));
	CHECK_OK(unmap_dma(iommu, IOVA, PAGE));
}

static void check_memory(int group, int device)
{
	uint32_t *ram = map_ram(device, 0, 2 * PAGE), *last, *again;
	uint32_t *page = new_pages(1);
	int iommu = get_iommu(group);

	check_topic = "memory";
	CHECK_OK(config_write(device, 4, 2, 6));
	CHECK_OK(map_dma(iommu, MAP_RW, page, IOVA, PAGE));
	CHECK_EQ(ram[0], 0);
	ram[0] = 0x11223344;
	CHECK_EQ(load(device, 0), 0x11223344);
	store(device, PAGE + 4, 0x55667788);
	CHECK_EQ(ram[PAGE / 4 + 1], 0x55667788);
	page[0] = 0x99aabbcc;
	transfer(device, LOAD, PAGE - 4, 4);
	CHECK_EQ(ram[PAGE / 4 - 1], 0x99aabbcc);
	again = map_ram(device, PAGE, PAGE);
	CHECK_EQ(again[1], 0x55667788);
	again[2] = 7;
	CHECK_EQ(ram[PAGE / 4 + 2], 7);
	last = map_ram(device, RAM_SIZE - PAGE, PAGE);
	last[PAGE / 4 - 1] = 9;
	transfer(device, STORE, RAM_SIZE - 4, 4);
	CHECK_EQ(page[0], 9);
	page[0] = 10;
	transfer(device, LOAD, RAM_SIZE - 4, 4);
	CHECK_EQ(last[PAGE / 4 - 1], 10);

	check_topic = "DMA from the memory to a mapping of it";
	CHECK_OK(unmap_dma(iommu, IOVA, PAGE));
	CHECK_OK(map_dma(iommu, MAP_RW, last, IOVA, PAGE));
	ram[7] = 77;
	transfer(device, STORE, 0, PAGE);
	CHECK_EQ(load(device, RAM_SIZE - PAGE + 7 * 4), 77);
	CHECK_OK(unmap_dma(iommu, IOVA, PAGE));
	check_limit(iommu, page, last);
	close(iommu);
	munmap(page, PAGE);
	munmap(last, PAGE);
	munmap(again, PAGE);
	munmap(ram, 2 * PAGE);
	CHECK_EQ(load(device, 0), 0x11223344);
}

static int refuses(int device, unsigned int region, uint64_t offset, size_t size,
		   int flags)
{
	void *memory = map(device, region, offset, size, flags);

	if (memory == MAP_FAILED)
		return errno == EINVAL;
	munmap(memory, size);
	return 0;
}

static void check_refusals(int device)
{
	void *fixed = new_pages(1), *memory;

	check_topic = "refused";
	CHECK(refuses(device, RAM, 0, PAGE, MAP_PRIVATE));
	CHECK(refuses(device, RAM, 0, PAGE, MAP_PRIVATE | MAP_DENYWRITE));
	CHECK(refuses(device, RAM, 0, RAM_SIZE + PAGE, MAP_SHARED));
	CHECK(refuses(device, RAM, RAM_SIZE, PAGE, MAP_SHARED));
	CHECK(refuses(device, 0, 0, PAGE, MAP_SHARED));
	CHECK(refuses(device, 0, 0, PAGE, MAP_PRIVATE));
	for (unsigned int i = VFIO_PCI_BAR5_REGION_INDEX; i < 10; i++)
		CHECK(refuses(device, i, 0, PAGE, MAP_SHARED));
	CHECK(refuses(device, TABLE, PAGE, PAGE, MAP_SHARED));
	CHECK(refuses(device, TABLE, 0, PAGE, MAP_SHARED));
	memory = mmap(fixed, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, device,
		      region_at(RAM, 0));
	CHECK(memory == fixed);
	munmap(fixed, PAGE);
	CHECK_ERR(ftruncate(device, 0), EINVAL);
	CHECK_ERR(ftruncate(device, 1l << 50), EINVAL);
}

/* Two opens are one memory, with a position each. */
static void check_two_opens(int group)
{
	int first = get_device(group), second = get_device(group);
	uint32_t *a = map_ram(first, 0, PAGE), *b = map_ram(second, 0, PAGE);
	uint32_t word = 0;

	check_topic = "two opens";
	a[1] = 41;
	CHECK_EQ(b[1], 41);
	store(second, 4, 42);
	CHECK_EQ(a[1], 42);
	CHECK_EQ(lseek(first, region_at(RAM, 4), SEEK_SET), region_at(RAM, 4));
	CHECK_EQ(lseek(second, 0, SEEK_CUR), 0);
	CHECK_EQ(read(first, &word, 4), 4);
	CHECK_EQ(word, 42);
	munmap(a, PAGE);
	close(first);
	CHECK_EQ(is_locked(group), 1);
	CHECK_EQ(load(second, 4), 42);
	close(second);
	CHECK_EQ(is_locked(group), 1);
	CHECK_EQ(b[1], 42);
	munmap(b, PAGE);
	CHECK_EQ(is_locked(group), 0);
}

static void check_orders(int group)
{
	int device = get_device(group);
	uint32_t *ram = map_ram(device, 0, PAGE);

	check_topic = "unmapped, then closed";
	munmap(ram, PAGE);
	CHECK_EQ(is_locked(group), 1);
	close(device);
	CHECK_EQ(is_locked(group), 0);

	check_topic = "closed, then unmapped";
	device = get_device(group);
	ram = map_ram(device, 0, 2 * PAGE);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	ram[0] = 5;
	device = get_device(group);
	CHECK_EQ(load(device, 0), 5);
	close(device);
	munmap(ram, PAGE);
	CHECK_EQ(is_locked(group), 1);
	munmap(ram + PAGE / 4, PAGE);
	CHECK_EQ(is_locked(group), 0);

	check_topic = "mapped over";
	device = get_device(group);
	ram = map_ram(device, 0, PAGE);
	close(device);
	mmap(ram, PAGE, PUT, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK_EQ(is_locked(group), 0);
}

/* A child has the last mapping; it is killed, exits, or execs. */
static void check_child(int group, const char *how)
{
	int device = get_device(group), up[2];
	uint32_t *ram = map_ram(device, 0, PAGE);
	pid_t pid;

	check_topic = how;
	NEED(pipe(up) == 0);
	ram[3] = 0;
	pid = fork_child();
	if (!pid) {
		close(device);
		ram[3] = 1;
		tell(up[1]);
		if (how[0] == 'e') {
			sleep_us(20000);
			execl("/bin/sleep", "sleep", "20", NULL);
		}
		pause();
	}
	CHECK(await(up[0]));
	CHECK_EQ(ram[3], 1);
	close(device);
	munmap(ram, PAGE);
	if (how[0] == 'e') {
		CHECK(unlocked_after(group, 5000000) >= 0);
		kill(pid, SIGKILL);
		reap(pid);
	} else {
		CHECK_EQ(is_locked(group), 1);
		kill(pid, how[0] == 'k' ? SIGKILL : SIGTERM);
		reap(pid);
		CHECK_EQ(is_locked(group), 0);
	}
	close(up[0]);
	close(up[1]);
}

static void check_rounds(int group)
{
	check_topic = "rounds";
	check_quiet = 1;
	for (int i = 0; i < 200; i++) {
		int device = get_device(group), copy = dup(device);
		uint32_t *ram = map_ram(copy, 0, PAGE);

		ram[0] = i;
		close(i & 1 ? device : copy);
		CHECK_EQ(load(i & 1 ? copy : device, 0), (uint32_t)i);
		close(i & 1 ? copy : device);
		CHECK_EQ(is_locked(group), 1);
		munmap(ram, PAGE);
		CHECK_EQ(is_locked(group), 0);
	}
	check_quiet = 0;
}

int main(void)
{
	int group, device;

	setenv("VFIO_GROUP", "/dev/vfio/pci:0", 0);
	setenv("VFIO_DEVICE", "0000:01:00.0", 0);
	check_start(60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	device = get_device(group);
	NEED(device >= 0);
	check_regions(device);
	check_growth(device);
	check_memory(group, device);
	check_refusals(device);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	check_two_opens(group);
	check_orders(group);
	check_child(group, "killed with a mapping");
	check_child(group, "terminated with a mapping");
	check_child(group, "exec with a mapping");
	check_rounds(group);
	return check_done();
}
