/* Descriptors: epoll(7), eventfd(2), statx(2), flock(2), descriptor tables. */
#ifndef CL_FD_H
#define CL_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

int cl_open(const char *path, int flags, unsigned mode);
int cl_close(int fd);
int cl_set_nonblocking(int fd);
/* Makes number `fd` a close-on-exec copy of `by`, closing what it was. */
int cl_replace_fd(int by, int fd);

/* Whether there is input now. */
bool cl_is_readable(int fd);

int cl_epoll_create(void);
/* Edge-triggered, for input; `token` comes back in the events. */
int cl_epoll_add_edge(int epfd, int fd, uint64_t token);
/* One-shot: tells of input once, then not before it is rearmed. */
int cl_epoll_add_once(int epfd, int fd, uint64_t token);
int cl_epoll_rearm_once(int epfd, int fd, uint64_t token);
int cl_epoll_remove(int epfd, int fd);
/* Waits for one event: 1 and its token, or 0 after `timeout_ms` (-1: never). */
int cl_epoll_wait_one(int epfd, int timeout_ms, uint64_t *token);

int cl_eventfd(void);
/* The same with a count and flags of the caller's choice, close-on-exec. */
int cl_eventfd_with(unsigned count, int flags);
/* Adds 1, never blocks: the kernel's eventfd_signal(). */
int cl_eventfd_signal(int fd);
/* Takes the count, never blocks: 1 if there was one, 0 if not. */
int cl_eventfd_consume(int fd);

struct cl_file_identity {
	uint64_t inode;
	uint32_t dev_major, dev_minor;   /* of the file system */
	uint32_t rdev_major, rdev_minor; /* of a device node */
	uint32_t mode;
};
/* What file `path` leads to, asking no server of a network or FUSE file system. */
int cl_identify(const char *path, struct cl_file_identity *id);

/* The link's text, NUL-terminated. */
int cl_readlink(const char *path, char *buffer, int size);

/* Takes the lock, or -EWOULDBLOCK. */
int cl_try_lock(int fd);

/* Gives the calling thread a descriptor table of its own, with nothing but 0, 1 and 2 in it. */
int cl_own_descriptor_table(void);

/* Sends descriptor `fd` over the datagram socket. */
int cl_send_fd(int socket, int fd);

/* Sends `message` as one datagram to the unix socket `path` ('@' first: abstract). */
int cl_notify(const char *path, const char *message);

/* ioctl(2) without an argument: what it returns, or -errno. */
int cl_ask(int fd, unsigned request);

#endif
