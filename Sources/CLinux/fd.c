#include "cl_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int cl_open(const char *path, int flags, unsigned mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

int cl_close(int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

int cl_replace_fd(int by, int fd)
{
	return dup3(by, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

int cl_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

bool cl_is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int cl_epoll_create(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cl_epoll_add_edge(int epfd, int fd, uint64_t token)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.u64 = token };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int once(int epfd, int operation, int fd, uint64_t token)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = token };

	return epoll_ctl(epfd, operation, fd, &e) < 0 ? -errno : 0;
}

int cl_epoll_add_once(int epfd, int fd, uint64_t token)
{
	return once(epfd, EPOLL_CTL_ADD, fd, token);
}

int cl_epoll_rearm_once(int epfd, int fd, uint64_t token)
{
	return once(epfd, EPOLL_CTL_MOD, fd, token);
}

int cl_epoll_remove(int epfd, int fd)
{
	return epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
}

int cl_epoll_wait_one(int epfd, int timeout_ms, uint64_t *token)
{
	struct epoll_event e;
	int n = epoll_wait(epfd, &e, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n > 0)
		*token = e.data.u64;
	return n;
}

int cl_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int cl_eventfd_with(unsigned count, int flags)
{
	int fd = eventfd(count, flags | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static aio_context_t aio;
static int nothing;

static void make_aio(void)
{
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing < 0 || syscall(SYS_io_setup, 256, &aio) < 0)
		aio = 0;
}

/* Whether it blocks is the client's to decide, and between a look and a write it may change its mind. */
static int signal_by_write(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && write(fd, &one, sizeof(one)) < 0)
		return -errno;
	return 0;
}

/* The end of an asynchronous read signals by the kernel's own eventfd_signal(). */
int cl_eventfd_signal(int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct timespec now = { 0, 0 };
	struct io_event done[4];
	char byte;
	struct iocb read_nothing = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (uintptr_t)&byte,
		.aio_nbytes = 1,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &read_nothing;

	pthread_once(&once, make_aio);
	read_nothing.aio_fildes = (uint32_t)nothing;
	if (!aio || syscall(SYS_io_submit, aio, 1, &list) != 1)
		return signal_by_write(fd);
	syscall(SYS_io_getevents, aio, 0, 4, done, &now);
	return 0;
}

int cl_eventfd_consume(int fd)
{
	uint64_t count;
	struct iovec v = { &count, sizeof(count) };

	if (preadv2(fd, &v, 1, -1, RWF_NOWAIT) == sizeof(count))
		return 1;
	return errno == EAGAIN ? 0 : -errno;
}

int cl_identify(const char *path, struct cl_file_identity *id)
{
	struct statx s;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &s) < 0)
		return -errno;
	id->inode = s.stx_ino;
	id->dev_major = s.stx_dev_major;
	id->dev_minor = s.stx_dev_minor;
	id->rdev_major = s.stx_rdev_major;
	id->rdev_minor = s.stx_rdev_minor;
	id->mode = s.stx_mode;
	return 0;
}

int cl_readlink(const char *path, char *buffer, int size)
{
	ssize_t n = readlink(path, buffer, (size_t)size - 1);

	if (n < 0)
		return -errno;
	buffer[n] = 0;
	return (int)n;
}

int cl_try_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

int cl_own_descriptor_table(void)
{
	if (unshare(CLONE_FILES) < 0)
		return -errno;
	return syscall(SYS_close_range, 3, UINT_MAX, 0) < 0 ? -errno : 0;
}

int cl_send_fd(int socket, int fd)
{
	char byte = 0;
	struct iovec v = { &byte, 1 };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	return sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int cl_notify(const char *path, const char *message)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = 0;

	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;

	ssize_t sent = sendto(s, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	int r = sent < 0 ? -errno : 0;

	close(s);
	return r;
}

int cl_ask(int fd, unsigned request)
{
	int r = ioctl(fd, (unsigned long)request, 0);

	return r < 0 ? -errno : r;
}
