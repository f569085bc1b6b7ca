/*
 * A process that is being traced can get no descriptor: EBUSY, and nothing is
 * opened. All else works, and so does that when the tracer has gone.
 *
 * traced works: it can, where descriptors come by another way.
 */
#include "check.h"
#include "client.h"

#include <sys/ptrace.h>

static void check_descriptors(int group, int works)
{
	if (works) {
		int device = get_device(group), iommu = get_iommu(group);

		CHECK_EQ(bar_read(device, 0), EDU_ID);
		CHECK(iommu >= 0);
		close(iommu);
		close(device);
	} else {
		CHECK_ERR(get_device(group), EBUSY);
		CHECK_ERR(get_iommu(group), EBUSY);
	}
}

static void traced(int group, int works)
{
	int device;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(2);
	raise(SIGSTOP);		/* let the parent see that it is the tracer */

	check_topic = "traced";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	for (int i = 0; i < 3; i++)
		check_descriptors(group, works);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	CHECK_ERR(ioctl(group, VFIO_GROUP_UNMERGE), EINVAL);

	raise(SIGUSR1);		/* the parent detaches */
	check_topic = "no longer traced";
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	exit(0);
}

/* Lets the child run on at each of its stops; detaches at SIGUSR1. */
static int trace(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		if (sig == SIGUSR1)
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
		else
			ptrace(PTRACE_CONT, pid, NULL,
			       (void *)(long)(sig == SIGSTOP ? 0 : sig));
	}
	return status;
}

int main(int argc, char **argv)
{
	int works = argc > 1 && !strcmp(argv[1], "works"), group, status;
	pid_t pid;

	check_start(60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	pid = fork_child();
	if (!pid)
		traced(group, works);
	status = trace(pid);
	check_topic = "the tracer";
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
