/* pidfd_open(2), pidfd_getfd(2). */
#ifndef CL_PIDFD_H
#define CL_PIDFD_H

#include <stdbool.h>
#include <sys/types.h>

int cl_pidfd_open(pid_t tgid);
/* A duplicate, close-on-exec, of descriptor `fd` of the process. */
int cl_pidfd_getfd(int pidfd, int fd);

/* Whether the process has not ended and been waited for. */
bool cl_pidfd_is_there(int pidfd);

/* Whether there is a thread `tid`, of the process `tgid`. */
bool cl_thread_is(pid_t tid, pid_t tgid) __attribute__((swift_name("cl_thread_is(_:in:)")));

#endif
