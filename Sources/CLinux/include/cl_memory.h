/* Another process's memory, limits and rights: process_vm_readv(2), process_vm_writev(2), prlimit(2),
 * capget(2). */
#ifndef CL_MEMORY_H
#define CL_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

ssize_t cl_process_vm_read(pid_t pid, void *local, uint64_t remote, size_t size);
ssize_t cl_process_vm_write(pid_t pid, const void *local, uint64_t remote, size_t size);

/* Reads from two places, the second after the first: how many bytes in all. */
ssize_t cl_process_vm_read_two(pid_t pid, void *local, uint64_t remote, size_t size, void *local2,
			       uint64_t remote2, size_t size2);

/* The soft RLIMIT_MEMLOCK of `pid`, in bytes; UINT64_MAX where there is none. */
int cl_memlock_limit(pid_t pid, uint64_t *limit);

/* The effective capabilities of `tid`. */
int cl_capabilities(pid_t tid, uint64_t *effective);

/* Up to `size` bytes of /proc/<tid>/auxv; gives their number. */
ssize_t cl_auxiliary_vector(pid_t tid, void *buffer, size_t size);

/* Sets our own RLIMIT_NOFILE as high as we may; gives the new soft limit. */
long cl_raise_nofile(void);

#endif
