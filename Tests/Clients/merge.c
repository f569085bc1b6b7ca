/*
 * Merging and unmerging groups, on topologies/POLICY.yaml. `auto` is for
 * `groups` with --auto-merge.
 *
 * merge groups|never|any|auto
 */
#include "check.h"
#include "client.h"

#define DMA_SOURCE	0x80
#define DMA_DESTINATION	0x88
#define DMA_COUNT	0x90
#define DMA_COMMAND	0x98
#define DMA_START	0x1u
#define DMA_TO_MEMORY	0x2u
#define DMA_BUFFER	0x40000u

static const char *const names[] = {
	"0000:06:0d.0", "0000:07:00.0", "0000:07:01.0", "0000:07:02.0",
	"0000:80:00.0", "0000:80:01.0",
};

#define FIRST	240

static int group_at(int number)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/pci:%d", number);
	return open(path, O_RDWR);
}

static int device_at(int group, int number)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, names[number - FIRST]);
}

static int merge(int group, int other)
{
	__s32 argument = other;

	return ioctl(group, VFIO_GROUP_MERGE, &argument);
}

static int unmerge(int group)
{
	return ioctl(group, VFIO_GROUP_UNMERGE);
}

static int wait_dma(int device)
{
	for (int i = 0; i < 2000; i++) {
		if (!(bar_read(device, DMA_COMMAND) & DMA_START))
			return 0;
		sleep_us(5000);
	}
	return -1;
}

/* The device moves 8 bytes at `from` to `to`, both addresses as it sees them. */
static int copy_by_dma(int device, uint32_t from, uint32_t to)
{
	config_write(device, 4, 2, 0x106);
	bar_write(device, DMA_SOURCE, from);
	bar_write(device, DMA_DESTINATION, DMA_BUFFER);
	bar_write(device, DMA_COUNT, 8);
	bar_write(device, DMA_COMMAND, DMA_START);
	if (wait_dma(device))
		return -1;
	bar_write(device, DMA_SOURCE, DMA_BUFFER);
	bar_write(device, DMA_DESTINATION, to);
	bar_write(device, DMA_COMMAND, DMA_START | DMA_TO_MEMORY);
	return wait_dma(device);
}

static void check_refusal(int a, int b, int error)
{
	CHECK_ERR(merge(a, b), error);
	CHECK_EQ(is_locked(a), 0);
	CHECK_EQ(is_locked(b), 0);
	CHECK_ERR(unmerge(a), EINVAL);
	CHECK_ERR(unmerge(b), EINVAL);
}

static void check_policies(const char *policy)
{
	int plain = group_at(240), other = group_at(241);
	int odd = group_at(244), like = group_at(245), mixed = group_at(243);

	check_topic = "groups that are not viable";
	CHECK_EQ(group_flags(mixed), 0);
	CHECK_ERR(merge(plain, mixed), EBUSY);
	CHECK_ERR(merge(mixed, plain), EBUSY);
	CHECK_ERR(get_iommu(mixed), EBUSY);
	CHECK_ERR(device_at(mixed, 243), EBUSY);

	if (!strcmp(policy, "never")) {
		check_topic = "a platform without merging";
		check_refusal(plain, other, EINVAL);
		check_refusal(odd, like, EINVAL);
		check_refusal(plain, odd, EINVAL);
	} else if (!strcmp(policy, "any")) {
		check_topic = "a platform that merges everything";
		CHECK_OK(merge(plain, odd));
		CHECK_EQ(is_locked(odd), 1);
		CHECK_OK(unmerge(odd));
		CHECK_EQ(is_locked(plain), 0);
	} else {
		check_topic = "a platform that merges similar groups";
		check_refusal(plain, odd, EINVAL);
		check_refusal(odd, plain, EINVAL);
		CHECK_OK(merge(odd, like));
		CHECK_ERR(merge(odd, plain), EINVAL);
		CHECK_OK(unmerge(like));
	}
	close(plain);
	close(other);
	close(odd);
	close(like);
	close(mixed);
}

/* Devices of one group are not isolated from each other. */
static void check_shared(void)
{
	int group = group_at(240), iommu = get_iommu(group);
	int one = device_at(group, 240), two;
	char *memory = new_pages(1);

	check_topic = "two devices of a group";
	two = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.1");
	strcpy(memory, "shared");
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0x10000, PAGE));
	CHECK_OK(copy_by_dma(one, 0x10000, 0x10100));
	CHECK_OK(copy_by_dma(two, 0x10100, 0x10200));
	CHECK(!strcmp(memory + 0x200, "shared"));
	close(one);
	close(two);
	close(iommu);
	close(group);
	munmap(memory, PAGE);
}

/* The user manages the groups independently. */
static void check_independent(void)
{
	int a = group_at(240), b = group_at(241);
	int one = get_iommu(a), two = get_iommu(b);
	char *memory = new_pages(2);

	check_topic = "groups that were not merged";
	CHECK_OK(map_dma(one, MAP_RW, memory, 0, PAGE));
	CHECK_OK(map_dma(two, MAP_RW, memory + PAGE, 0, PAGE));
	CHECK_ERR(device_at(a, 241), ENODEV);
	close(one);
	CHECK_EQ(is_locked(a), 0);
	CHECK_EQ(is_locked(b), 1);
	close(two);
	close(a);
	close(b);
	munmap(memory, 2 * PAGE);
}

/* The merger works on while groups come and go. */
static void check_in_use(void)
{
	int a = group_at(240), b = group_at(241), c = group_at(242);
	int iommu = get_iommu(a), device = device_at(a, 240), late, same;
	char *memory = new_pages(1);

	check_topic = "the merger is in use";
	strcpy(memory, "before");
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0x10000, PAGE));
	CHECK_OK(merge(a, b));
	CHECK_OK(merge(b, c));
	CHECK_EQ(is_locked(c), 1);
	late = device_at(a, 242);
	CHECK(late >= 0);
	/* What was mapped before the merge is there for the new device. */
	CHECK_OK(copy_by_dma(late, 0x10000, 0x10100));
	CHECK(!strcmp(memory + 0x100, "before"));

	check_topic = "one iommu object";
	same = get_iommu(c);
	CHECK_ERR(map_dma(same, MAP_RW, memory, 0x10000, PAGE), EBUSY);
	CHECK_OK(map_dma(same, MAP_RW, memory, 0x20000, PAGE));
	CHECK_OK(copy_by_dma(device, 0x20000, 0x20200));
	CHECK(!strcmp(memory + 0x200, "before"));

	check_topic = "unmerge while the rest works";
	CHECK_ERR(unmerge(c), EBUSY);
	CHECK_OK(unmerge(b));
	close(late);
	CHECK_OK(unmerge(c));
	CHECK_EQ(is_locked(a), 1);
	CHECK_EQ(is_locked(b), 0);
	CHECK_EQ(is_locked(c), 0);
	CHECK_OK(copy_by_dma(device, 0x20000, 0x10300));
	CHECK(!strcmp(memory + 0x300, "before"));
	/* The one that left reaches nothing of it. */
	late = device_at(c, 242);
	CHECK(late >= 0);
	CHECK_OK(copy_by_dma(late, 0x10000, 0x10400));
	CHECK_EQ(memory[0x400], 0);
	close(late);

	check_topic = "the mergee is in use";
	CHECK_ERR(merge(b, a), EINVAL);
	close(device);
	CHECK_ERR(merge(b, a), EINVAL);
	close(iommu);
	close(same);
	CHECK_OK(merge(b, a));
	CHECK_OK(unmerge(a));
	close(a);
	close(b);
	close(c);
	munmap(memory, PAGE);
}

/* Only what is open of a set keeps it: groups, iommu, devices, in any order. */
static void check_end(void)
{
	int a = group_at(240), b = group_at(241), watch, device;

	check_topic = "the groups go, a device stays";
	CHECK_OK(merge(a, b));
	device = device_at(a, 241);
	CHECK(device >= 0);
	close(a);
	close(b);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	watch = group_at(240);
	CHECK_EQ(is_locked(watch), 1);
	/* Still one set: its other device can be had by this group. */
	a = device_at(watch, 241);
	CHECK(a >= 0);
	close(a);
	close(watch);
	close(device);
	watch = group_at(241);
	CHECK_ERR(device_at(watch, 240), ENODEV);
	CHECK_ERR(unmerge(watch), EINVAL);
	CHECK_EQ(is_locked(watch), 0);
	close(watch);

	check_topic = "the last descriptor goes, a group stays";
	a = group_at(240);
	b = group_at(241);
	CHECK_OK(merge(a, b));
	CHECK_EQ(is_locked(b), 1);
	device = get_iommu(b);
	close(device);
	CHECK_EQ(is_locked(a), 0);
	/* No owner, but merged. */
	device = device_at(a, 241);
	CHECK(device >= 0);
	close(device);
	close(a);
	close(b);
	a = group_at(240);
	CHECK_ERR(device_at(a, 241), ENODEV);
	CHECK_ERR(unmerge(a), EINVAL);
	close(a);
}

/* Another address space may look, and nothing else. */
static void check_strangers(void)
{
	int a = group_at(240), b = group_at(241), c, up[2], down[2];
	pid_t pid;

	check_topic = "a set of another address space";
	NEED(pipe(up) == 0 && pipe(down) == 0);
	CHECK_OK(merge(a, b));
	c = group_at(242);
	pid = fork_child();
	if (!pid) {
		check_topic = "from another address space";
		CHECK_EQ(is_locked(a), 1);
		CHECK_ERR(unmerge(a), EPERM);
		CHECK_ERR(unmerge(b), EPERM);
		CHECK_ERR(merge(a, c), EPERM);
		CHECK_ERR(merge(c, a), EPERM);
		CHECK_ERR(device_at(b, 240), EPERM);
		CHECK_ERR(get_iommu(b), EPERM);
		/* A group of its own that the parent wants. */
		int device = device_at(c, 242);

		CHECK(device >= 0);
		tell(up[1]);
		await(down[0]);
		close(device);
		tell(up[1]);
		await(down[0]);
		exit(0);
	}
	CHECK(await(up[0]));
	CHECK_ERR(merge(a, c), EINVAL);
	CHECK_ERR(merge(c, a), EPERM);
	tell(down[1]);
	CHECK(await(up[0]));
	CHECK_OK(merge(a, c));
	CHECK_OK(unmerge(c));
	tell(down[1]);
	CHECK_EQ(reap(pid), 0);
	close(a);
	close(b);
	close(c);
}

/* Groups join what their user has, before their first descriptor. */
static void check_automatic(void)
{
	int a = group_at(240), b = group_at(241), c = group_at(242);
	int odd = group_at(244), iommu = get_iommu(a), device, same, apart;
	char *memory = new_pages(1);
	pid_t pid;

	check_topic = "a device of a new group";
	strcpy(memory, "itself");
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0x10000, PAGE));
	CHECK_ERR(device_at(b, 242), ENODEV);
	CHECK_EQ(is_locked(b), 0);
	device = device_at(b, 241);
	CHECK(device >= 0);
	CHECK_OK(copy_by_dma(device, 0x10000, 0x10100));
	CHECK(!strcmp(memory + 0x100, "itself"));

	check_topic = "the iommu of a new group";
	same = get_iommu(c);
	CHECK_ERR(map_dma(same, MAP_RW, memory, 0x10000, PAGE), EBUSY);

	check_topic = "a group that cannot be merged";
	apart = get_iommu(odd);
	CHECK_OK(map_dma(apart, MAP_RW, memory, 0x10000, PAGE));
	CHECK_ERR(unmerge(odd), EINVAL);
	close(apart);

	check_topic = "another user's group";
	pid = fork_child();
	if (!pid) {
		int mine = group_at(245), theirs = get_iommu(mine);

		CHECK(theirs >= 0);
		CHECK_ERR(get_iommu(a), EPERM);
		CHECK_ERR(unmerge(mine), EINVAL);
		exit(0);
	}
	CHECK_EQ(reap(pid), 0);

	check_topic = "a group that was taken out";
	close(same);
	CHECK_OK(unmerge(c));
	same = get_iommu(c);
	CHECK_OK(map_dma(same, MAP_RW, memory, 0x10000, PAGE));
	CHECK_ERR(unmerge(c), EINVAL);
	close(same);
	close(device);
	close(iommu);
	close(a);
	close(b);
	close(c);
	close(odd);
	munmap(memory, PAGE);
}

int main(int argc, char **argv)
{
	const char *policy = argc > 1 ? argv[1] : "";

	check_start(120);
	if (!strcmp(policy, "auto")) {
		check_automatic();
		return check_done();
	}
	check_policies(policy);
	check_shared();
	check_independent();
	if (strcmp(policy, "never")) {
		check_in_use();
		check_end();
		check_strangers();
	}
	return check_done();
}
