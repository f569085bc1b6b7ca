/* Files that stand for others in a client: memfd_create(2), open file description locks, inotify(7). */
#ifndef CL_MEMFILE_H
#define CL_MEMFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An empty file that stays empty: what reaches it is a read of nothing or a write that fails. */
int cl_memfile(const char *name);
/* A file with these bytes. */
int cl_snapshot(const char *name, const void *bytes, size_t size);
/* A sparse file of `size` bytes that nobody can resize, and so can be mapped without a SIGBUS to fear. */
int cl_shared_memory(const char *name, uint64_t size);
/* A description of its own, with a lock on the byte at `place` that tells whether it is open, and its
 * position there. Past the end of the file, reads give nothing and writes fail. */
int cl_memfile_open(int file, int flags, int64_t place);
/* Whether a description with the lock is open somewhere. */
bool cl_memfile_is_open(int file, int64_t place);

int cl_inotify(void);
/* Watches for closes of the file behind one of our descriptors: the watch. */
int cl_inotify_watch(int inotify, int fd);
int cl_inotify_unwatch(int inotify, int watch);
/* The watches with news, at most `room`; 0 when there are none. Never waits. */
int cl_inotify_read(int inotify, int *watches, int room);
/* Waits for input of either: 0 after `timeout_ms`. */
int cl_wait_either(int a, int b, int timeout_ms);

struct cl_file_key {
	uint64_t device, inode;
};
int cl_file_key(int fd, struct cl_file_key *key);
/* The same of a descriptor of thread `tid`: -EBADF when it is not open. Holds no reference to it. Where it is,
 * says which of all threads with that number it is: equal only for the same one. */
int cl_client_file_key(pid_t tid, int fd, struct cl_file_key *key, uint64_t *incarnation);

#endif
