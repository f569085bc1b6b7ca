/*
 * The server goes away under a client: every call then fails with an errno of
 * its own kind, and none hangs. Prints "ready" when it is time to kill it.
 */
#include "check.h"
#include "client.h"

static int is_gone(int error)
{
	switch (error) {
	case ENOTCONN:
	case ECONNABORTED:
	case ECONNRESET:
	case ENODEV:
	case ENXIO:
		return 1;
	}
	return 0;
}

static int ask_device(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(device, VFIO_DEVICE_GET_INFO, &info);
}

static int ask_iommu(int iommu)
{
	struct vfio_iommu_info info = { .argsz = sizeof(info) };

	return ioctl(iommu, VFIO_IOMMU_GET_INFO, &info);
}

static int read_device(int device)
{
	uint32_t value;

	return pread(device, &value, 4, 0) == 4 ? 0 : -1;
}

static void expect_gone(const char *what, int result)
{
	int error = errno;

	printf("%s: %s\n", what, result < 0 ? errno_name(error) : "no error");
	check_topic = what;
	CHECK(result < 0 && is_gone(error));
}

int main(void)
{
	int group, iommu, device;

	check_start(600);
	alarm(20);	/* fatal: the calls below do not return late, or never */
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	iommu = get_iommu(group);
	NEED(iommu >= 0);
	device = get_device(group);
	NEED(device >= 0 && read_device(device) == 0);
	map_dma(iommu, MAP_RW, new_pages(4), 0, 4 * PAGE);
	printf("ready\n");
	fflush(stdout);
	while (group_flags(group) >= 0 && !ask_iommu(iommu) &&
	       !ask_device(device) && !read_device(device))
		;
	printf("first error: %s\n", errno_name(errno));
	alarm(20);

	/* The device's file system may go a little after the group's node. */
	sleep_us(500000);
	expect_gone("ioctl on the group", group_flags(group));
	expect_gone("ioctl on the iommu", ask_iommu(iommu));
	expect_gone("ioctl on the device", ask_device(device));
	expect_gone("read of the device", read_device(device));
	expect_gone("new device fd", get_device(group));
	expect_gone("new iommu fd", get_iommu(group));
	close(device);
	close(iommu);
	close(group);
	return check_done();
}
