#include "cl_memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int cl_snapshot(const char *name, const void *bytes, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	ssize_t n;
	int error;

	if (fd < 0)
		return -errno;
	n = pwrite(fd, bytes, size, 0);
	if (n == (ssize_t)size)
		return fd;
	error = n < 0 ? errno : ENOSPC;
	close(fd);
	return -error;
}

/* A file of `size` bytes that can never have another size. */
static int sealed(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if ((size > 0 && ftruncate(fd, (off_t)size) < 0) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int cl_memfile(const char *name)
{
	return sealed(name, 0);
}

int cl_shared_memory(const char *name, uint64_t size)
{
	struct rlimit limit;

	/* Past RLIMIT_FSIZE, ftruncate would kill us. */
	if (size > INT64_MAX || getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
	    (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size))
		return -EFBIG;
	return sealed(name, size);
}

int cl_memfile_open(int file, int flags, int64_t place)
{
	struct flock lock = {
		.l_type = (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = place,
		.l_len = 1,
	};
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0 || lseek(fd, place, SEEK_SET) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

bool cl_memfile_is_open(int file, int64_t place)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = place,
		.l_len = 1,
	};

	return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int cl_inotify(void)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int cl_inotify_watch(int inotify, int fd)
{
	char path[40];
	int watch;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(inotify, path, IN_CLOSE);
	return watch < 0 ? -errno : watch;
}

int cl_inotify_unwatch(int inotify, int watch)
{
	return inotify_rm_watch(inotify, watch) < 0 ? -errno : 0;
}

int cl_inotify_read(int inotify, int *watches, int room)
{
	/* Files have no names here: each event is a bare header. */
	struct inotify_event events[64];
	int n = 0;

	while (room - n > 0) {
		int want = room - n < 64 ? room - n : 64;
		ssize_t size = read(inotify, events, (size_t)want * sizeof(events[0]));

		if (size <= 0)
			break;
		for (ssize_t i = 0; i < size / (ssize_t)sizeof(events[0]); i++)
			watches[n++] = events[i].mask & IN_Q_OVERFLOW ? -1 : events[i].wd;
		if (size < (ssize_t)((size_t)want * sizeof(events[0])))
			break;
	}
	return n;
}

int cl_wait_either(int a, int b, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };
	int n = poll(p, 2, timeout_ms);

	return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

static int key_at(int directory, const char *path, int flags, struct cl_file_key *key)
{
	struct statx s;

	if (statx(directory, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &s) < 0)
		return -errno;
	key->device = (uint64_t)s.stx_dev_major << 32 | s.stx_dev_minor;
	key->inode = s.stx_ino;
	return 0;
}

int cl_file_key(int fd, struct cl_file_key *key)
{
	return key_at(fd, "", AT_EMPTY_PATH, key);
}

/* The descriptor directories of the threads that have called last. One of a thread that is gone
 * shows nothing, whoever has its number by now. */
enum { CACHED = 8 };
struct cached {
	pid_t tid;
	int directory;
	uint64_t incarnation;
};
static uint64_t incarnations;
static _Thread_local struct cached cache[CACHED];
static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;
static int cache_error;

/* A thread that ends takes its cache along. */
static void close_cache(void *mine)
{
	struct cached *cached = mine;

	for (int i = 0; i < CACHED; i++)
		if (cached[i].tid)
			close(cached[i].directory);
}

static void make_cache_key(void)
{
	cache_error = pthread_key_create(&cache_key, close_cache);
}

static int open_directory(pid_t tid)
{
	char path[40];
	int slot = tid % CACHED;

	pthread_once(&cache_once, make_cache_key);
	if (cache_error || pthread_setspecific(cache_key, cache))
		return -ENOMEM;
	if (cache[slot].tid)
		close(cache[slot].directory);
	snprintf(path, sizeof(path), "/proc/%d/fd", tid);
	cache[slot].tid = tid;
	cache[slot].directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cache[slot].directory < 0) {
		cache[slot].tid = 0;
		return -errno;
	}
	cache[slot].incarnation = __atomic_add_fetch(&incarnations, 1, __ATOMIC_RELAXED);
	return 0;
}

int cl_client_file_key(pid_t tid, int fd, struct cl_file_key *key, uint64_t *incarnation)
{
	int slot = tid % CACHED, fresh = 0, r;
	char name[16];

	if (tid <= 0 || fd < 0)
		return -EBADF;
	if (cache[slot].tid != tid) {
		if ((r = open_directory(tid)) < 0)
			return r;
		fresh = 1;
	}
	snprintf(name, sizeof(name), "%d", fd);
	r = key_at(cache[slot].directory, name, 0, key);
	if ((r == -ENOENT || r == -ESRCH) && !fresh) {
		if ((r = open_directory(tid)) < 0)
			return r;
		r = key_at(cache[slot].directory, name, 0, key);
	}
	*incarnation = cache[slot].incarnation;
	return r == -ENOENT ? -EBADF : r;
}
