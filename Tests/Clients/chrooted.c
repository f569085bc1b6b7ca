/*
 * A client that opened its group and then locked itself into an empty directory
 * can still get descriptors: they are no files of its file system. Needs root.
 */
#include "check.h"
#include "client.h"

static void inside(int group, const char *directory)
{
	int device, iommu;

	check_topic = "in an empty root directory";
	NEED(chroot(directory) == 0 && chdir("/") == 0);
	CHECK_ERR(open("/dev/null", O_RDONLY), ENOENT);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	iommu = get_iommu(group);
	CHECK(iommu >= 0);
	CHECK(iommu != device);
	CHECK_EQ(fcntl(device, F_GETFD), 0);
	CHECK_EQ(fcntl(iommu, F_GETFD), 0);
	CHECK_EQ(fcntl(device, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_OK(map_dma(iommu, MAP_RW, new_pages(1), 0, PAGE));
	close(device);
	close(iommu);
	CHECK_EQ(is_locked(group), 0);
	exit(0);
}

int main(void)
{
	char directory[] = "/tmp/vfio-chrooted-XXXXXX";
	int group;
	pid_t pid;

	check_start(60);
	check_topic = "open";
	NEED(geteuid() == 0);
	group = open_group();
	NEED(group >= 0);
	NEED(mkdtemp(directory) != NULL);
	pid = fork_child();
	if (!pid)
		inside(group, directory);
	CHECK_EQ(reap(pid), 0);
	rmdir(directory);
	return check_done();
}
