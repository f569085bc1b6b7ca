/*
 * A forked child has an address space of its own: the group of its parent is
 * not its group, though it has copies of all descriptors.
 */
#include "check.h"
#include "client.h"

/* Every group ioctl but GET_INFO is refused, whatever its argument. */
static void check_refused(int group)
{
	__s32 self = group, nothing = -1;

	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE |
		 VFIO_GROUP_FLAGS_MM_LOCKED);
	CHECK_ERR(get_device(group), EPERM);
	CHECK_ERR(get_iommu(group), EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "no such device"),
		  EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_MERGE, &self), EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_MERGE, &nothing), EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_UNMERGE), EPERM);
}

static void check_inherited_device(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	CHECK_EQ(bar_read(device, 0), EDU_ID);
	CHECK_EQ(config_read(device, 0, 4), 0x11e81234);
	CHECK_OK(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	CHECK_EQ(info.num_regions, VFIO_PCI_NUM_REGIONS);
}

static void child(int group, int iommu, int device, int to_parent,
		  int from_parent)
{
	int own = open_group(), mine;

	check_topic = "child, inherited group fd";
	check_refused(group);
	check_topic = "child, group fd of its own";
	CHECK(own >= 0);
	check_refused(own);
	check_topic = "child, inherited device fd";
	check_inherited_device(device);
	tell(to_parent);

	await(from_parent);	/* the parent has closed its copies */
	check_topic = "child, parent closed its iommu and device";
	check_inherited_device(device);
	check_refused(group);
	close(iommu);
	check_refused(own);
	close(device);
	check_topic = "child, all copies closed";
	CHECK_EQ(group_flags(own), VFIO_GROUP_FLAGS_VIABLE);
	mine = get_device(group);
	CHECK(mine >= 0);
	CHECK_EQ(bar_read(mine, 0), EDU_ID);
	tell(to_parent);

	await(from_parent);	/* the parent has seen that it is refused */
	close(mine);
	tell(to_parent);
	await(from_parent);
	exit(0);
}

int main(void)
{
	int group, iommu, device, up[2], down[2];
	pid_t pid;

	check_start(120);
	check_topic = "parent";
	group = open_group();
	NEED(group >= 0);
	iommu = get_iommu(group);
	device = get_device(group);
	NEED(iommu >= 0 && device >= 0);
	NEED(pipe(up) == 0 && pipe(down) == 0);
	pid = fork_child();
	if (!pid) {
		close(up[0]);
		close(down[1]);
		child(group, iommu, device, up[1], down[0]);
	}
	close(up[1]);
	close(down[0]);

	CHECK(await(up[0]));
	check_topic = "parent, still the owner";
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(iommu);
	close(device);
	/* The child's copies keep the group ours. */
	CHECK_EQ(is_locked(group), 1);
	device = get_device(group);
	CHECK(device >= 0);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	tell(down[1]);

	CHECK(await(up[0]));
	check_topic = "parent, the child is the owner";
	check_refused(group);
	tell(down[1]);

	CHECK(await(up[0]));
	check_topic = "parent, nobody is the owner";
	CHECK_EQ(is_locked(group), 0);
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	tell(down[1]);
	CHECK_EQ(reap(pid), 0);
	return check_done();
}
