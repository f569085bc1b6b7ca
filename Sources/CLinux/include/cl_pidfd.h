/* pidfd_open(2), pidfd_getfd(2). */
#ifndef CL_PIDFD_H
#define CL_PIDFD_H

#include <sys/types.h>

int cl_pidfd_open(pid_t tgid);
/* A duplicate, close-on-exec, of descriptor `fd` of the process. */
int cl_pidfd_getfd(int pidfd, int fd);

#endif
