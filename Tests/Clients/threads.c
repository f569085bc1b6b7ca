/*
 * Threads share an address space, so they share a group: eight of them, each
 * with descriptors of its own, all succeed. So does a CLONE_VM child, which has
 * another pid and another descriptor table.
 *
 * threads [ROUNDS]
 */
#include "check.h"
#include "client.h"

#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#define THREADS 8

static int rounds = 50;

struct worker {
	pthread_t thread;
	int number;
};

/* Each thread has a window of its own in the one IOMMU they all share. */
static void use_iommu(int iommu, int number, char *memory)
{
	uint64_t iova = 0x100000 * (uint64_t)(number + 1);
	struct vfio_iommu_info info = { .argsz = sizeof(info) };

	CHECK_OK(ioctl(iommu, VFIO_IOMMU_GET_INFO, &info));
	CHECK_EQ(info.iova_max, UINT64_MAX);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, iova, 2 * PAGE));
	CHECK_ERR(map_dma(iommu, MAP_RW, memory, iova + PAGE, PAGE), EBUSY);
	CHECK_OK(unmap_dma(iommu, iova, 2 * PAGE));
}

static void use_device(int device, int number)
{
	uint32_t index = number % VFIO_PCI_NUM_REGIONS;
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = {
		.argsz = sizeof(region), .index = index,
	};
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };

	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	CHECK_EQ(info.num_regions, VFIO_PCI_NUM_REGIONS);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	CHECK_EQ(region.offset, (uint64_t)index << 40);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq));
	CHECK_EQ(irq.count, 1);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	CHECK_EQ(config_read(device, 0, 4), 0x11e81234);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	const char *name = worker->number & 1 ? second_device_name() :
						device_name();
	char *memory = new_pages(2);

	for (int i = 0; i < rounds; i++) {
		int group = open_group(), iommu, device;

		CHECK(group >= 0);
		CHECK(group_flags(group) & VFIO_GROUP_FLAGS_VIABLE);
		iommu = get_iommu(group);
		CHECK(iommu >= 0);
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
		CHECK(device >= 0 && device != iommu && device != group);
		CHECK_EQ(is_locked(group), 1);
		use_iommu(iommu, worker->number, memory);
		for (int j = 0; j < 4; j++)
			use_device(device, worker->number + j);
		close(device);
		close(iommu);
		close(group);
	}
	munmap(memory, 2 * PAGE);
	return NULL;
}

static void check_threads(void)
{
	struct worker workers[THREADS];
	int before = lowest_free_fd();

	check_topic = "eight threads";
	check_quiet = 1;
	for (int i = 0; i < THREADS; i++) {
		workers[i].number = i;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	check_quiet = 0;
	CHECK_EQ(lowest_free_fd(), before);
}

/* 0, or the errno of what failed. No stdio: it shares the parent's memory. */
static int clone_body(void *unused)
{
	int group = open_group(), device, result = 0;

	(void)unused;
	device = get_device(group);
	if (device < 0)
		return errno;
	if (bar_read(device, 0) != EDU_ID)
		result = EIO;
	close(device);
	close(group);
	return result;
}

/* Without kcmp nobody can tell which processes share an address space. */
static int has_kcmp(void)
{
	pid_t self = getpid();

	return syscall(SYS_kcmp, self, self, KCMP_VM, 0, 0) == 0;
}

static void check_clone(int group)
{
	char *stack = new_pages(64);
	int device = get_device(group), status = -1;
	pid_t pid;

	check_topic = "CLONE_VM child";
	CHECK(device >= 0);
	pid = clone(clone_body, stack + 64 * PAGE, CLONE_VM | SIGCHLD, NULL);
	status = reap(pid);
	note("kcmp %s, the child got %s", has_kcmp() ? "works" : "is missing",
	     status ? errno_name(status) : "the device");
	if (has_kcmp())
		CHECK_EQ(status, 0);
	else
		CHECK(status == 0 || status == EPERM);
	/* The child had copies of our descriptors; they are gone with it. */
	CHECK_EQ(is_locked(group), 1);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	munmap(stack, 64 * PAGE);
}

int main(int argc, char **argv)
{
	int group;

	if (argc > 1)
		rounds = atoi(argv[1]);
	check_start(300);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_threads();
	check_topic = "after the threads";
	CHECK_EQ(is_locked(group), 0);
	check_clone(group);
	return check_done();
}
