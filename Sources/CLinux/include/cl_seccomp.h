/* seccomp(2) with user notification: the filter of a supervised process tree, and its calls. */
#ifndef CL_SECCOMP_H
#define CL_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads and writes of this many bytes are not notified: tar's records, of which there are more than of all other
 * transfers of more than a page. Of the standard descriptors, which programs use all the time, no more than those of
 * so few bytes are. */
enum { CL_RECORD = 10240, CL_MOST_READ_STANDARD = 8, CL_MOST_WRITTEN_STANDARD = 64 };

/* Writes the filter and returns its length in instructions, -E2BIG where `room` is too small.
 * With `eventfds`, their making is notified too. */
int cl_seccomp_filter(struct sock_filter *filter, size_t room, bool eventfds);

/* Installs it on the calling thread: the listener. Async-signal-safe. */
int cl_seccomp_install(const struct sock_filter *filter, size_t length);

/* The system calls that are notified, under one name on all machines; CL_CALL_OTHER for the rest. */
enum cl_call_name {
	CL_CALL_OTHER,
	CL_CALL_IOCTL,
	CL_CALL_MMAP,
	CL_CALL_MREMAP,
	CL_CALL_PRCTL,
	CL_CALL_READ,
	CL_CALL_WRITE,
	CL_CALL_READV,
	CL_CALL_WRITEV,
	CL_CALL_LSEEK,
	CL_CALL_FSYNC,
	CL_CALL_FTRUNCATE,
	CL_CALL_SENDFILE,
	CL_CALL_SPLICE,
	CL_CALL_COPY_FILE_RANGE,
	CL_CALL_PREAD,
	CL_CALL_PWRITE,
	CL_CALL_PREADV,
	CL_CALL_PWRITEV,
	CL_CALL_PREADV2,
	CL_CALL_PWRITEV2,
	CL_CALL_OPEN,
	CL_CALL_CREAT,
	CL_CALL_OPENAT,
	CL_CALL_OPENAT2,
	CL_CALL_STAT,
	CL_CALL_LSTAT,
	CL_CALL_FSTATAT,
	CL_CALL_STATX,
	CL_CALL_READLINK,
	CL_CALL_READLINKAT,
	CL_CALL_ACCESS,
	CL_CALL_FACCESSAT,
	CL_CALL_FACCESSAT2,
	CL_CALL_CHDIR,
	CL_CALL_GETCWD,
	CL_CALL_GETXATTR,
	CL_CALL_LGETXATTR,
	CL_CALL_LISTXATTR,
	CL_CALL_LLISTXATTR,
	CL_CALL_CHOWN,
	CL_CALL_LCHOWN,
	CL_CALL_FCHOWNAT,
	CL_CALL_CHMOD,
	CL_CALL_FCHMODAT,
	CL_CALL_EVENTFD,
	CL_CALL_EVENTFD2,
};

struct cl_call {
	uint64_t id;
	uint64_t arguments[6];
	pid_t thread;
	enum cl_call_name name;
};

/* Waits for the next call: 0; -ENOENT when its caller is gone already, -EPIPE when no process uses the filter
 * any more. */
int cl_seccomp_receive(int listener, struct cl_call *call);
/* Ends the call with `value`, or with `-error` where that is not 0. */
int cl_seccomp_answer(int listener, uint64_t id, int64_t value, int error);
/* Lets the kernel carry the call out. */
int cl_seccomp_continue(int listener, uint64_t id);
/* Whether the caller still waits. */
bool cl_seccomp_is_waiting(int listener, uint64_t id);
/* Gives the caller a copy of `fd` under its lowest free number, which is returned. */
int cl_seccomp_add_fd(int listener, uint64_t id, int fd, bool close_on_exec);
/* Tells the kernel that caller and supervisor take turns; -EINVAL on kernels before 6.6. */
int cl_seccomp_take_turns(int listener);
/* Waits until no process uses the filter any more. */
int cl_seccomp_wait_unused(int listener);

#endif
