/*
 * Descriptors of one group that come and go in each order: which of them keep
 * its owner, and what still works.
 */
#include "bad_arguments.h"

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

	check_start(60);
	group = open_group();
	NEED(group >= 0);
	check_two_opens(group);
	check_close_orders(group);
	check_topic = "end";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	close(group);
	check_reopen();
	return check_done();
}
