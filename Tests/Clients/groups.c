/*
 * A group's requests: the right answers, and every error rule that a single
 * process can see.
 */
#include "bad_arguments.h"

#include <sys/eventfd.h>

static void check_group_info(int group)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };

	check_topic = "group info";
	CHECK_EQ(ioctl(group, VFIO_GROUP_GET_INFO, &info), 0);
	CHECK_EQ(info.flags, VFIO_GROUP_FLAGS_VIABLE);
	CHECK_EQ(info.argsz, sizeof(info));
	info.flags = 0;
	check_info_header(group, VFIO_GROUP_GET_INFO, &info, sizeof(info));
	check_pointers(group, VFIO_GROUP_GET_INFO, &info, sizeof(info), 1);
}

static void check_group_file(int group)
{
	char bytes[8] = { 0 };

	check_topic = "group file";
	CHECK_ERR(read(group, bytes, sizeof(bytes)), EINVAL);
	CHECK_ERR(write(group, bytes, sizeof(bytes)), EINVAL);
	check_topic = "unknown requests on the group";
	check_unknown_requests(group);
	check_foreign_requests(group, iommu_requests, COUNT(iommu_requests));
	check_foreign_requests(group, device_requests, COUNT(device_requests));
	CHECK_EQ(is_locked(group), 0);
}

static int merge(int group, int fd)
{
	__s32 argument = fd;

	return ioctl(group, VFIO_GROUP_MERGE, &argument);
}

static void check_merge(int group)
{
	int event = eventfd(0, 0), again = open_group(), device, iommu;
	__s32 argument = -1;

	check_topic = "merge";
	CHECK_ERR(merge(group, -1), EINVAL);
	CHECK_ERR(merge(group, INT_MIN), EINVAL);
	CHECK_ERR(merge(group, closed_fd()), EBADF);
	CHECK_ERR(merge(group, INT_MAX), EBADF);
	CHECK_ERR(merge(group, STDOUT_FILENO), EINVAL);
	CHECK_ERR(merge(group, event), EINVAL);
	CHECK_ERR(merge(group, group), EINVAL);
	CHECK_ERR(merge(group, again), EINVAL);
	check_pointers(group, VFIO_GROUP_MERGE, &argument, sizeof(argument), 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);

	device = get_device(group);
	iommu = get_iommu(group);
	CHECK_ERR(merge(group, device), EINVAL);
	CHECK_ERR(merge(group, iommu), EINVAL);
	CHECK_ERR(merge(group, again), EINVAL);
	close(device);
	close(iommu);

	check_topic = "unmerge";
	CHECK_ERR(ioctl(group, VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_ERR(ioctl(again, VFIO_GROUP_UNMERGE), EINVAL);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	close(event);
	close(again);
}

/* What the C library would see of any new file. */
static void check_new_fd(int fd, int expected)
{
	CHECK_EQ(fd, expected);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
}

static void check_fd_numbers(int group)
{
	int a, b, low, fd;

	check_topic = "number of a new device fd";
	low = lowest_free_fd();
	fd = get_device(group);
	check_new_fd(fd, low);
	close(fd);
	CHECK_EQ(lowest_free_fd(), low);

	check_topic = "number of a new iommu fd";
	fd = get_iommu(group);
	check_new_fd(fd, low);
	close(fd);
	CHECK_EQ(lowest_free_fd(), low);

	check_topic = "a hole in the descriptor table";
	a = dup(STDIN_FILENO);
	b = dup(STDIN_FILENO);
	close(a);
	fd = get_device(group);
	CHECK_EQ(fd, a);
	close(fd);
	fd = get_iommu(group);
	CHECK_EQ(fd, a);
	close(fd);
	close(b);

	check_topic = "descriptor 0 is free";
	a = fcntl(STDIN_FILENO, F_DUPFD, 100);
	close(STDIN_FILENO);
	fd = get_device(group);
	CHECK_EQ(fd, 0);
	close(fd);
	fd = get_iommu(group);
	CHECK_EQ(fd, 0);
	dup2(a, STDIN_FILENO);
	close(a);
	CHECK_EQ(is_locked(group), 0);
}

static long get_named(int group, const char *name)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

	if (fd >= 0)
		close(fd);
	return fd;
}

static void check_device_names(int group)
{
	const char *name = device_name();
	size_t size = strlen(name) + 1;
	char *page = page_before_hole(), *hole = page + PAGE, *pages, other[80];

	check_topic = "device names";
	CHECK_OK(get_named(group, name));
	CHECK_ERR(get_named(group, ""), ENODEV);
	CHECK_ERR(get_named(group, "0000:00:00.7"), ENODEV);
	CHECK_ERR(get_named(group, "no such device"), ENODEV);
	snprintf(other, sizeof(other), "%s0", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, sizeof(other), " %s", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, sizeof(other), "%s\n", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	snprintf(other, strlen(name), "%s", name);
	CHECK_ERR(get_named(group, other), ENODEV);
	CHECK_ERR(get_named(group, "\xff\xfe\x80 no UTF-8"), ENODEV);

	check_topic = "a name at the end of a page";
	CHECK_OK(get_named(group, memcpy(hole - size, name, size)));
	memset(page, 'x', PAGE);
	CHECK_ERR(get_named(group, hole - 4), EFAULT);
	CHECK_ERR(get_named(group, hole - 1), EFAULT);
	CHECK_ERR(get_named(group, hole), EFAULT);
	CHECK_ERR(get_named(group, NULL), EFAULT);
	CHECK_ERR(get_named(group, (char *)8), EFAULT);
	CHECK_ERR(get_named(group, (char *)0xffff888000000000), EFAULT);
	hole[-1] = 0;
	CHECK_ERR(get_named(group, hole - 1), ENODEV);
	mprotect(page, PAGE, PROT_READ);
	CHECK_ERR(get_named(group, hole - 4), ENODEV);

	check_topic = "a name over a page boundary";
	pages = new_pages(3);
	memcpy(pages + PAGE - 5, name, size);
	CHECK_OK(get_named(group, pages + PAGE - 5));

	check_topic = "a long name";
	memset(pages, 'x', 3 * PAGE);
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE + 1] = 0;
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE] = 0;		/* a page without its NUL */
	CHECK_ERR(get_named(group, pages), EINVAL);
	pages[PAGE - 1] = 0;		/* a page with its NUL */
	CHECK_ERR(get_named(group, pages), ENODEV);
	CHECK_EQ(is_locked(group), 0);
	munmap(pages, 3 * PAGE);
	munmap(page, 2 * PAGE);
}

int main(void)
{
	int group;

	check_start(60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_group_info(group);
	check_group_file(group);
	check_merge(group);
	check_fd_numbers(group);
	check_device_names(group);
	check_topic = "end";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	return check_done();
}
