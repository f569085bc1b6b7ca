/*
 * Many groups at once, /dev/vfio/pci:0 to pci:N-1 with one device each, and
 * what merging three of them means. VFIO_NODE_PREFIX names other nodes.
 *
 * many_nodes N
 */
#include "check.h"
#include "client.h"

#include <sys/resource.h>

static int group_at(int i)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%d",
		 setting("VFIO_NODE_PREFIX", "/dev/vfio/pci:"), i);
	return open(path, O_RDWR);
}

/* The topology has 32 devices to a bus, from bus 1 on. */
static int device_at(int group, int i)
{
	char name[32];

	snprintf(name, sizeof(name), "0000:%02x:%02x.0", 1 + i / 32, i % 32);
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static int merge(int group, int other)
{
	__s32 argument = other;

	return ioctl(group, VFIO_GROUP_MERGE, &argument);
}

static void check_all(int count, int *groups)
{
	int *devices = calloc(count, sizeof(*devices));

	check_topic = "all groups";
	check_quiet = 1;
	for (int i = 0; i < count; i++) {
		groups[i] = group_at(i);
		CHECK(groups[i] >= 0);
		CHECK_EQ(group_flags(groups[i]), VFIO_GROUP_FLAGS_VIABLE);
	}
	for (int i = 0; i < count; i++) {
		devices[i] = device_at(groups[i], i);
		CHECK(devices[i] >= 0);
		CHECK_EQ(is_locked(groups[i]), 1);
	}
	/* Each device is itself and no other. */
	for (int i = 0; i < count; i++)
		CHECK_OK(bar_write(devices[i], 4, i));
	for (int i = 0; i < count; i++) {
		CHECK_EQ(bar_read(devices[i], 0), EDU_ID);
		CHECK_EQ(bar_read(devices[i], 4), ~(uint32_t)i);
	}
	if (count > 1)
		CHECK_ERR(device_at(groups[0], 1), ENODEV);
	for (int i = 0; i < count; i++) {
		close(devices[i]);
		CHECK_EQ(is_locked(groups[i]), 0);
	}
	check_quiet = 0;
	note("%d groups", count);
	free(devices);
}

static void check_merge_rules(const int *groups)
{
	int device = device_at(groups[1], 1), iommu;

	check_topic = "merge of a group in use";
	CHECK(device >= 0);
	CHECK_ERR(merge(groups[0], groups[1]), EINVAL);
	close(device);
	iommu = get_iommu(groups[1]);
	CHECK_ERR(merge(groups[0], groups[1]), EINVAL);
	CHECK_ERR(device_at(groups[0], 1), ENODEV);
	close(iommu);

	check_topic = "merge of three groups";
	/* The merger may be in use. */
	device = device_at(groups[0], 0);
	CHECK(device >= 0);
	CHECK_OK(merge(groups[0], groups[1]));
	CHECK_OK(merge(groups[0], groups[2]));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(group_flags(groups[i]), VFIO_GROUP_FLAGS_VIABLE |
			 VFIO_GROUP_FLAGS_MM_LOCKED);
	CHECK_ERR(merge(groups[0], groups[1]), EINVAL);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
}

/* Any group of the set is a gateway to all of it. */
static void check_merged(const int *groups)
{
	char *memory = new_pages(2);
	int first, second, device;

	check_topic = "any device through any group";
	for (int via = 0; via < 3; via++) {
		for (int i = 0; i < 3; i++) {
			device = device_at(groups[via], i);
			CHECK(device >= 0);
			CHECK_EQ(bar_read(device, 4), ~(uint32_t)i);
			close(device);
		}
	}

	check_topic = "one iommu for the merged set";
	first = get_iommu(groups[0]);
	second = get_iommu(groups[2]);
	CHECK(first >= 0 && second >= 0);
	CHECK_EQ(is_locked(groups[1]), 1);
	CHECK_OK(map_dma(first, MAP_RW, memory, 0, PAGE));
	CHECK_ERR(map_dma(second, MAP_RW, memory, 0, PAGE), EBUSY);

	check_topic = "unmerge";
	device = device_at(groups[0], 1);
	CHECK(device >= 0);
	CHECK_ERR(ioctl(groups[1], VFIO_GROUP_UNMERGE), EBUSY);
	close(device);
	device = device_at(groups[1], 0);	/* of another group: no matter */
	CHECK_OK(ioctl(groups[1], VFIO_GROUP_UNMERGE));
	CHECK_ERR(ioctl(groups[1], VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_ERR(device_at(groups[0], 1), ENODEV);
	CHECK_ERR(device_at(groups[1], 0), ENODEV);
	CHECK_EQ(is_locked(groups[1]), 0);
	/* The mappings stay with the rest of the set. */
	CHECK_ERR(map_dma(second, MAP_RW, memory, 0, PAGE), EBUSY);
	close(device);
	device = device_at(groups[1], 1);
	CHECK(device >= 0);
	close(device);

	check_topic = "the rest of the set";
	close(first);
	CHECK_EQ(is_locked(groups[2]), 1);
	close(second);
	CHECK_EQ(is_locked(groups[0]), 0);
	CHECK_EQ(is_locked(groups[2]), 0);
	munmap(memory, 2 * PAGE);
}

/* When nothing of a merged set is open, its groups are groups again. */
static void check_dissolved(int count, int *groups)
{
	check_topic = "closed and opened again";
	for (int i = 0; i < count; i++)
		close(groups[i]);
	groups[0] = group_at(0);
	CHECK(groups[0] >= 0);
	CHECK_ERR(device_at(groups[0], 2), ENODEV);
	CHECK_ERR(ioctl(groups[0], VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_EQ(group_flags(groups[0]), VFIO_GROUP_FLAGS_VIABLE);
	close(groups[0]);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0, *groups;
	struct rlimit fds;

	check_start(300);
	check_topic = "arguments";
	NEED(count > 0);
	getrlimit(RLIMIT_NOFILE, &fds);
	fds.rlim_cur = fds.rlim_max;
	setrlimit(RLIMIT_NOFILE, &fds);
	groups = calloc(count, sizeof(*groups));
	check_all(count, groups);
	if (count >= 3) {
		check_merge_rules(groups);
		check_merged(groups);
	}
	check_dissolved(count, groups);
	free(groups);
	return check_done();
}
