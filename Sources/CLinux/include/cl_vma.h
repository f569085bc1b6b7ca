/* Another process's mappings: PROCMAP_QUERY (Linux 6.11), and the same pages mapped by us. */
#ifndef CL_VMA_H
#define CL_VMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cl_vma {
	uint64_t start, end;	/* the mapping that has the address, or the next one */
	uint64_t offset;	/* in the file, in bytes */
	uint64_t inode;		/* 0: no file */
	uint32_t dev_major, dev_minor;
	bool is_readable, is_writable, is_shared;
};
/* The mapping at or after `address`, by an open /proc/<pid>/maps: -ENOENT where there is none,
 * -ESRCH when the memory is gone, -ENOTTY before Linux 6.11. */
int cl_vma_query(int maps, uint64_t address, struct cl_vma *vma);

/* A descriptor of the file behind the mapping of `pid` at exactly start..end, or of the file behind a
 * descriptor of it, or of our own, opened anew. For writing too where asked. */
int cl_vma_open_mapped(pid_t pid, uint64_t start, uint64_t end, bool writable);
int cl_vma_open_held(pid_t pid, uint32_t dev_major, uint32_t dev_minor, uint64_t inode, bool writable);

/* Whether `fd` is the file, and one in memory (tmpfs, hugetlbfs), whose pages no stranger can hold up. */
bool cl_vma_is_memory_file(int fd, uint32_t dev_major, uint32_t dev_minor, uint64_t inode);
/* Maps a part of the file, shared: its address, or -errno. */
int64_t cl_vma_map(int fd, uint64_t offset, uint64_t size, bool writable);
void cl_vma_unmap(uint64_t address, uint64_t size);

#endif
