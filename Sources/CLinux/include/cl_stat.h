/* stat(2), statx(2) and what else is done to a path for somebody else. */
#ifndef CL_STAT_H
#define CL_STAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cl_node {
	uint64_t inode, size;
	int64_t seconds; /* of all its times */
	uint32_t mode, uid, gid, links;
	uint32_t rdev_major, rdev_minor;
};

enum { CL_STAT_SIZE = 144, CL_STATX_SIZE = 256 };
/* Each fills `out`, of the size above on x86-64, and returns how many bytes it has. */
int cl_stat_of_node(const struct cl_node *node, void *out);
int cl_statx_of_node(const struct cl_node *node, void *out);
int cl_stat_of_path(const char *path, int flags, void *out);
int cl_statx_of_path(const char *path, int flags, uint32_t mask, void *out);

/* Makes what stands for a device node. */
int cl_make_node(const char *path, uint32_t mode);
/* Removes a file, or a directory with all that is in it and can be removed. */
int cl_remove_tree(const char *path);

#endif
