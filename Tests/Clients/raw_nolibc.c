/*
 * System calls and nothing else, as programs make them that bring no C library:
 * no errno, no dynamic linker, no vDSO. The exit status is the step that
 * failed.
 */
#include "raw.h"

enum step {
	FINE,
	OPEN,
	GROUP_INFO,
	NOT_VIABLE,
	IOMMU_FD,
	DEVICE_FD,
	READ_ID,
	WRONG_ID,
	UNKNOWN_DEVICE,
	STILL_LOCKED,
};

static int locked(long group, __u32 *flags)
{
	struct vfio_group_info info;

	info.argsz = sizeof(info);
	info.flags = 0;
	if (ioctl(group, VFIO_GROUP_GET_INFO, &info))
		return -1;
	*flags = info.flags;
	return !!(info.flags & VFIO_GROUP_FLAGS_MM_LOCKED);
}

__attribute__((used)) int run(void)
{
	static const char path[] = "/dev/vfio/pci:240";
	static const char name[] = "0000:06:0d.0";
	long group, iommu, device;
	__u32 flags, id = 0;

	group = call(__NR_openat, AT_FDCWD, (long)path, O_RDWR, 0);
	if (group < 0)
		return OPEN;
	if (locked(group, &flags) < 0)
		return GROUP_INFO;
	if (flags != VFIO_GROUP_FLAGS_VIABLE)
		return NOT_VIABLE;
	/* The kernel's own convention: -errno, not -1. */
	if (ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "none") != -19)
		return UNKNOWN_DEVICE;
	iommu = ioctl(group, VFIO_GROUP_GET_IOMMU_FD, 0);
	if (iommu < 0)
		return IOMMU_FD;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (device < 0 || device == iommu)
		return DEVICE_FD;
	if (call(__NR_pread64, device, (long)&id, 4, 0) != 4)
		return READ_ID;
	if (id != 0x010000ed)
		return WRONG_ID;
	call(__NR_close, device, 0, 0, 0);
	call(__NR_close, iommu, 0, 0, 0);
	if (locked(group, &flags))
		return STILL_LOCKED;
	return FINE;
}
