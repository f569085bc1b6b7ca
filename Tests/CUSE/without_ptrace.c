/*
 * A client of a daemon that may not reach into it: the kernel carries the
 * arguments of group ioctls, and descriptors cannot be had.
 */
#include "check.h"
#include "client.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

static void group_info(int group)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };
	struct vfio_group_info small = { .argsz = 4 };
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check_topic = "GET_INFO by the retry protocol";
	CHECK(ioctl(group, VFIO_GROUP_GET_INFO, &info) == 0);
	CHECK(info.flags == VFIO_GROUP_FLAGS_VIABLE);
	CHECK(info.argsz == sizeof(info));
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_INFO, &small), EINVAL);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_INFO, NULL), EFAULT);
	munmap(pages + 4096, 4096);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_INFO, pages + 4092), EFAULT);
	memcpy(pages, &info, sizeof(info));
	mprotect(pages, 4096, PROT_READ);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_INFO, pages), EFAULT);
}

int main(void)
{
	int group;

	check_start(100);
	check_topic = "without CAP_SYS_PTRACE";
	group = open("/dev/vfio/pci:240", O_RDWR);
	CHECK(group >= 0);
	group_info(group);
	check_topic = "without CAP_SYS_PTRACE";
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_IOMMU_FD), EACCES);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0"), EACCES);
	/* Whose group it is comes before what is asked. */
	CHECK_ERR(ioctl(group, 0x3bff, 0), EACCES);
	group_info(group);
	return check_done();
}
