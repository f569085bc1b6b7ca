/*
 * Two processes that have nothing in common open the same group: the second is
 * refused while the first owns it, and no longer.
 *
 * Itself, with an argument, is the first process.
 */
#include "check.h"
#include "client.h"

/* Owns the group from its first line on stdout to the end of its stdin. */
static int owner(void)
{
	int group = open_group(), iommu = get_iommu(group);
	int device = get_device(group);

	if (iommu < 0 || device < 0 || bar_read(device, 0) != EDU_ID)
		return 1;
	tell(STDOUT_FILENO);
	await(STDIN_FILENO);
	return 0;	/* without closing anything */
}

static pid_t start_owner(int *to, int *from)
{
	int down[2], up[2];
	pid_t pid;

	if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC))
		exit(2);
	pid = fork_child();
	if (!pid) {
		dup2(down[0], STDIN_FILENO);
		dup2(up[1], STDOUT_FILENO);
		execl("/proc/self/exe", "second_process", "owner", NULL);
		_exit(127);
	}
	close(down[0]);
	close(up[1]);
	*to = down[1];
	*from = up[0];
	return pid;
}

static void check_refused(int group)
{
	__s32 self = group;

	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE |
		 VFIO_GROUP_FLAGS_MM_LOCKED);
	CHECK_ERR(get_device(group), EPERM);
	CHECK_ERR(get_iommu(group), EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_MERGE, &self), EPERM);
	CHECK_ERR(ioctl(group, VFIO_GROUP_UNMERGE), EPERM);
}

/* What follows the end of the owner, however it ended. */
static void check_free(int group)
{
	int device;

	CHECK_EQ(is_locked(group), 0);
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	CHECK_EQ(is_locked(group), 0);
}

int main(int argc, char **argv)
{
	int to, from, before, group;
	pid_t pid;

	(void)argv;
	if (argc > 1)
		return owner();
	check_start(120);
	check_topic = "open before the owner does";
	before = open(group_path(), O_RDWR | O_CLOEXEC);
	NEED(before >= 0);
	pid = start_owner(&to, &from);
	NEED(await(from));
	check_refused(before);
	check_topic = "open after the owner did";
	group = open(group_path(), O_RDWR | O_CLOEXEC);
	NEED(group >= 0);
	check_refused(group);
	tell(to);
	CHECK_EQ(reap(pid), 0);
	check_topic = "the owner has exited";
	check_free(group);
	check_free(before);
	close(to);
	close(from);

	check_topic = "the next owner";
	pid = start_owner(&to, &from);
	NEED(await(from));
	check_refused(group);
	close(to);
	CHECK_EQ(reap(pid), 0);
	check_topic = "the next owner has exited";
	check_free(group);
	close(from);
	return check_done();
}
