#include "cl_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

_Static_assert(sizeof(struct stat) <= CL_STAT_SIZE, "room for a struct stat");
_Static_assert(sizeof(struct statx) == CL_STATX_SIZE, "room for a struct statx");

/* Anonymous, like the file systems of /dev and /sys, and none of theirs. */
static const unsigned int device_minor = 0xfc5ed;

int cl_stat_of_node(const struct cl_node *node, void *out)
{
	struct stat s = {
		.st_dev = makedev(0, device_minor),
		.st_ino = node->inode,
		.st_mode = node->mode,
		.st_nlink = node->links,
		.st_uid = node->uid,
		.st_gid = node->gid,
		.st_rdev = makedev(node->rdev_major, node->rdev_minor),
		.st_size = (off_t)node->size,
		.st_blksize = 4096,
		.st_atim.tv_sec = node->seconds,
		.st_mtim.tv_sec = node->seconds,
		.st_ctim.tv_sec = node->seconds,
	};

	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

int cl_statx_of_node(const struct cl_node *node, void *out)
{
	struct statx s = {
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = 4096,
		.stx_nlink = node->links,
		.stx_uid = node->uid,
		.stx_gid = node->gid,
		.stx_mode = (uint16_t)node->mode,
		.stx_ino = node->inode,
		.stx_size = node->size,
		.stx_atime.tv_sec = node->seconds,
		.stx_mtime.tv_sec = node->seconds,
		.stx_ctime.tv_sec = node->seconds,
		.stx_rdev_major = node->rdev_major,
		.stx_rdev_minor = node->rdev_minor,
		.stx_dev_minor = device_minor,
	};

	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

int cl_stat_of_path(const char *path, int flags, void *out)
{
	struct stat s;

	if (fstatat(AT_FDCWD, path, &s, flags) < 0)
		return -errno;
	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

int cl_statx_of_path(const char *path, int flags, uint32_t mask, void *out)
{
	struct statx s;

	if (statx(AT_FDCWD, path, flags, mask, &s) < 0)
		return -errno;
	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

/* Anybody may make a character device of number 0:0 (since Linux 5.8), and nobody can open it. */
int cl_make_node(const char *path, uint32_t mode)
{
	if (mknod(path, S_IFCHR | (mode & 0777), makedev(0, 0)) == 0 ||
	    mknod(path, S_IFREG | (mode & 0777), 0) == 0)
		return 0;
	return -errno;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

int cl_remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 ? -errno : 0;
}
