#include "cl_vma.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* struct procmap_query and PROCMAP_QUERY of linux/fs.h, which libc's headers may lack. */
struct query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)
enum { READABLE = 1, WRITABLE = 2, SHARED = 8, COVERING_OR_NEXT = 16 };

_Static_assert(sizeof(struct query) == 104, "struct procmap_query");

int cl_vma_query(int maps, uint64_t address, struct cl_vma *vma)
{
	struct query q = { .size = sizeof(q), .flags = COVERING_OR_NEXT, .address = address };

	if (ioctl(maps, QUERY, &q) < 0)
		return -errno;
	*vma = (struct cl_vma){
		.start = q.start, .end = q.end, .offset = q.offset, .inode = q.inode,
		.dev_major = q.dev_major, .dev_minor = q.dev_minor,
		.is_readable = q.vma_flags & READABLE,
		.is_writable = q.vma_flags & WRITABLE,
		.is_shared = q.vma_flags & SHARED,
	};
	return 0;
}

static int open_again(const char *path, bool writable)
{
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

int cl_vma_open_mapped(pid_t pid, uint64_t start, uint64_t end, bool writable)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, (unsigned long)start,
		 (unsigned long)end);
	return open_again(path, writable);
}

int cl_vma_open_held(pid_t pid, uint32_t dev_major, uint32_t dev_minor, uint64_t inode, bool writable)
{
	char path[320];
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	directory = opendir(path);
	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		struct statx s;

		/* Looked at before it is opened: opening an unknown file may have effects. */
		if (statx(dirfd(directory), entry->d_name, AT_STATX_DONT_SYNC, STATX_INO | STATX_TYPE,
			  &s) < 0 ||
		    !S_ISREG(s.stx_mode) || s.stx_ino != inode || s.stx_dev_major != dev_major ||
		    s.stx_dev_minor != dev_minor)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		fd = open_again(path, writable);
		if (fd >= 0)
			break;
	}
	closedir(directory);
	return fd;
}

bool cl_vma_is_memory_file(int fd, uint32_t dev_major, uint32_t dev_minor, uint64_t inode)
{
	struct statfs f;
	struct stat s;

	return fstat(fd, &s) == 0 && fstatfs(fd, &f) == 0 && s.st_ino == inode &&
	       major(s.st_dev) == dev_major && minor(s.st_dev) == dev_minor && S_ISREG(s.st_mode) &&
	       (f.f_type == 0x01021994 /* tmpfs */ || f.f_type == 0x958458f6 /* hugetlbfs */);
}

int64_t cl_vma_map(int fd, uint64_t offset, uint64_t size, bool writable)
{
	void *at = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_NORESERVE,
			fd, (off_t)offset);

	return at == MAP_FAILED ? -errno : (int64_t)(intptr_t)at;
}

void cl_vma_unmap(uint64_t address, uint64_t size)
{
	munmap((void *)(uintptr_t)address, size);
}
