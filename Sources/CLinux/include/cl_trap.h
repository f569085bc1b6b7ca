/* Accesses of clients to memory that is not there, as a tracer of theirs sees them (x86-64). */
#ifndef CL_TRAP_H
#define CL_TRAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* Seizes every thread of the process, and what they will start, on behalf of the calling thread. Those
 * that are ours already stay so. -EPERM where somebody else traces one. */
int cl_trap_seize(pid_t tgid);

/* Whether a thread that has stopped is one that we seized. */
bool cl_trap_is_ours(pid_t tid);

/* Why a thread that we seized has stopped, from what waitpid(2) said of it. */
enum cl_trap_stop {
	CL_TRAP_SIGNAL,     /* a signal is about to be delivered */
	CL_TRAP_GROUP_STOP, /* job control has stopped the process */
	CL_TRAP_EXEC,       /* it has become another program */
	CL_TRAP_EVENT,      /* anything else: it goes on */
};
enum cl_trap_stop cl_trap_stop(int status);

/* Whether the signal that is about to be delivered is SIGBUS for an access past the end of a file. */
bool cl_trap_is_fault(pid_t tid, uint64_t *address);
int cl_trap_go_on(pid_t tid, int signal);
/* Leaves it stopped until job control lets it go on. */
int cl_trap_listen(pid_t tid);
int cl_trap_let_go(pid_t tid);

#endif
