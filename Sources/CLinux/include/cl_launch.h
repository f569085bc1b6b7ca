/* fork(2) and execve(2) of a program under a seccomp filter. */
#ifndef CL_LAUNCH_H
#define CL_LAUNCH_H

#include <linux/filter.h>
#include <stddef.h>
#include <sys/types.h>

struct cl_child {
	pid_t pid;
	int socket;   /* to the child, until it has become the program */
	int listener; /* of its filter */
};

enum { CL_LAUNCH_SOCKET = 1, CL_LAUNCH_FORK, CL_LAUNCH_FILTER, CL_LAUNCH_EXEC };

/* Makes a child that has installed the filter and waits: 0, or -errno with the step in *step.
 * It dies when the calling thread does. */
int cl_launch(const struct sock_filter *filter, size_t length, char *const *argv,
	      struct cl_child *child, int *step);
/* Lets the child become argv[0], which is looked up in PATH: 0, or the -errno of execve.
 * Somebody has to answer its system calls by now. Closes the socket. */
int cl_launch_go(struct cl_child *child);
/* Lets the child exit instead. */
void cl_launch_cancel(struct cl_child *child);

/* Becomes argv[0] ourselves; returns -errno where that fails. */
int cl_become(char *const *argv);

/* Moves the process, which has one thread, into a user namespace of its own, where it has every
 * capability and the user and group that it had. */
int cl_enter_user_namespace(void);

/* Orphans of our children come to us. */
int cl_adopt_orphans(void);

#endif
