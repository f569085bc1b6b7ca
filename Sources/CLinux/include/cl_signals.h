/* Signals as messages: sigaction(2) handlers that write to a pipe. */
#ifndef CL_SIGNALS_H
#define CL_SIGNALS_H

#include <stdbool.h>
#include <sys/types.h>

struct cl_signal {
	int number;
	bool from_process; /* kill(2), and not the terminal or the kernel */
};

/* From now on the signal is told by cl_signals_next, unless it is ignored already. */
int cl_signals_watch(int number);
/* Waits for the next one: number 0 after cl_signals_wake. */
int cl_signals_next(struct cl_signal *signal);
void cl_signals_wake(void);
/* Stops ourselves as the terminal would. */
void cl_signals_stop_self(void);

enum cl_child_news {
	CL_CHILD_NONE,      /* nothing more for now */
	CL_CHILD_EXITED,    /* value: exit status */
	CL_CHILD_KILLED,    /* value: signal */
	CL_CHILD_STOPPED,   /* value: what waitpid(2) says */
	CL_CHILD_CONTINUED,
};
/* "EINVAL"; NULL for a number that is no errno. */
const char *cl_error_name(int error);

/* What has become of any of our children, or threads that we trace. Never waits. */
enum cl_child_news cl_child_news(pid_t *pid, int *value);

#endif
