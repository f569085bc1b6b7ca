#include "cl_pidfd.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int cl_pidfd_open(pid_t tgid)
{
	long fd = syscall(SYS_pidfd_open, tgid, 0);

	return fd < 0 ? -errno : (int)fd;
}

int cl_pidfd_getfd(int pidfd, int fd)
{
	long mine = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return mine < 0 ? -errno : (int)mine;
}

/* Signal 0 is none; EPERM comes after the process has been found. */
bool cl_pidfd_is_there(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

bool cl_thread_is(pid_t tid, pid_t tgid)
{
	return syscall(SYS_tgkill, tgid, tid, 0) == 0 || errno == EPERM;
}
