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
