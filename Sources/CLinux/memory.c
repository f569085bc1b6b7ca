#include "cl_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t cl_process_vm_read(pid_t pid, void *local, uint64_t remote, size_t size)
{
	struct iovec l = { local, size };
	struct iovec r = { (void *)(uintptr_t)remote, size };
	ssize_t n = process_vm_readv(pid, &l, 1, &r, 1, 0);

	return n < 0 ? -errno : n;
}

ssize_t cl_process_vm_write(pid_t pid, const void *local, uint64_t remote, size_t size)
{
	struct iovec l = { (void *)(uintptr_t)local, size };
	struct iovec r = { (void *)(uintptr_t)remote, size };
	ssize_t n = process_vm_writev(pid, &l, 1, &r, 1, 0);

	return n < 0 ? -errno : n;
}

ssize_t cl_process_vm_read_two(pid_t pid, void *local, uint64_t remote, size_t size, void *local2,
			       uint64_t remote2, size_t size2)
{
	struct iovec l[2] = { { local, size }, { local2, size2 } };
	struct iovec r[2] = { { (void *)(uintptr_t)remote, size },
			      { (void *)(uintptr_t)remote2, size2 } };
	ssize_t n = process_vm_readv(pid, l, 2, r, 2, 0);

	return n < 0 ? -errno : n;
}

int cl_memlock_limit(pid_t pid, uint64_t *limit)
{
	struct rlimit r;

	if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &r) < 0)
		return -errno;
	*limit = r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
	return 0;
}

int cl_capabilities(pid_t tid, uint64_t *effective)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, tid };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*effective = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

ssize_t cl_auxiliary_vector(pid_t tid, void *buffer, size_t size)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buffer, size);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

long cl_raise_nofile(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return -errno;
	/* Root may go past the hard limit, up to fs.nr_open; 1048576 is its default. */
	struct rlimit high = { 1048576, 1048576 };

	if (setrlimit(RLIMIT_NOFILE, &high) == 0)
		return (long)high.rlim_cur;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		return -errno;
	return (long)r.rlim_cur;
}
