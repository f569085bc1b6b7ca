/*
 * No free descriptor: EMFILE, and nothing has been opened behind the client's
 * back. One free descriptor is enough.
 */
#include "check.h"
#include "client.h"

#include <sys/resource.h>

/* Only descriptors below `limit` can be opened. */
static void limit_fds(int limit)
{
	struct rlimit fds;

	getrlimit(RLIMIT_NOFILE, &fds);
	fds.rlim_cur = limit;
	setrlimit(RLIMIT_NOFILE, &fds);
}

int main(void)
{
	struct rlimit fds;
	int group, low, fd;

	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	getrlimit(RLIMIT_NOFILE, &fds);
	low = lowest_free_fd();

	check_topic = "no free descriptor";
	limit_fds(low);
	CHECK_ERR(open("/dev/null", O_RDONLY), EMFILE);
	for (int i = 0; i < 20; i++) {
		check_quiet = i > 0;
		CHECK_ERR(get_device(group), EMFILE);
		CHECK_ERR(get_iommu(group), EMFILE);
	}
	check_quiet = 0;
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "no such device"),
		  ENODEV);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);

	check_topic = "one free descriptor";
	limit_fds(low + 1);
	fd = get_device(group);
	CHECK_EQ(fd, low);
	CHECK_EQ(bar_read(fd, 0), EDU_ID);
	CHECK_ERR(get_device(group), EMFILE);
	CHECK_ERR(get_iommu(group), EMFILE);
	CHECK_EQ(is_locked(group), 1);
	close(fd);
	CHECK_EQ(is_locked(group), 0);
	fd = get_iommu(group);
	CHECK_EQ(fd, low);
	close(fd);
	CHECK_EQ(is_locked(group), 0);

	check_topic = "the old limit again";
	limit_fds(fds.rlim_cur);
	CHECK_EQ(lowest_free_fd(), low);
	fd = get_device(group);
	CHECK_EQ(fd, low);
	CHECK_EQ(bar_read(fd, 0), EDU_ID);
	close(fd);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
