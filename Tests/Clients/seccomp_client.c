/*
 * A client whose seccomp filter forbids the system calls that a delivery of
 * descriptors may use on its behalf. Either it works, or it fails with an
 * errno; the client is never killed for what it did not do.
 */
#include "check.h"
#include "client.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

static const int forbidden[] = {
#ifdef __NR_open
	__NR_open,
#endif
	__NR_openat, __NR_openat2, __NR_socketpair, __NR_recvmsg, __NR_recvmmsg,
	__NR_pidfd_getfd,
};

#define FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))

static int install_filter(uint32_t action)
{
	struct sock_filter code[2 * FORBIDDEN + 2];
	struct sock_fprog program = { .filter = code };
	unsigned int n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < FORBIDDEN; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, forbidden[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							 action);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						 SECCOMP_RET_ALLOW);
	program.len = n;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What each of the two calls gave: 0 or an errno. */
struct outcome {
	int device;
	int iommu;
	int info_failed;
	int wrong_value;
	int done;
};

static void child(uint32_t action, struct outcome *outcome)
{
	int group = open_group(), fd;

	if (group < 0 || install_filter(action))
		_exit(2);
	outcome->info_failed = group_flags(group) < 0;
	fd = get_device(group);
	outcome->device = fd < 0 ? errno : 0;
	if (fd >= 0)
		outcome->wrong_value = bar_read(fd, 0) != EDU_ID;
	close(fd);
	fd = get_iommu(group);
	outcome->iommu = fd < 0 ? errno : 0;
	close(fd);
	outcome->info_failed |= group_flags(group) < 0;
	outcome->done = 1;
	_exit(0);
}

static void check_filter(int group, const char *name, uint32_t action)
{
	struct outcome *outcome = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork_child();

	if (!pid)
		child(action, outcome);
	check_topic = name;
	CHECK_EQ(reap(pid), 0);		/* 1031 would be SIGSYS */
	CHECK(outcome->done);
	note("%s: device fd %s, iommu fd %s", name,
	     outcome->device ? errno_name(outcome->device) : "works",
	     outcome->iommu ? errno_name(outcome->iommu) : "works");
	CHECK(outcome->device == 0 || outcome->device == EBUSY ||
	      outcome->device == EPERM || outcome->device == EACCES);
	CHECK(outcome->iommu == outcome->device);
	CHECK(!outcome->info_failed);
	CHECK(!outcome->wrong_value);
	/* Whatever came of it, nothing of it is left. */
	CHECK_EQ(is_locked(group), 0);
	munmap(outcome, PAGE);
}

int main(void)
{
	int group, fd;

	check_start(60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_filter(group, "a filter that answers EPERM",
		     SECCOMP_RET_ERRNO | EPERM);
	check_filter(group, "a filter that kills", SECCOMP_RET_KILL_PROCESS);
	check_filter(group, "a filter that traps", SECCOMP_RET_TRAP);
	check_topic = "afterwards";
	fd = get_device(group);
	CHECK(fd >= 0);
	close(fd);
	return check_done();
}
