/* ptrace(2), as an injector of system calls needs it (x86-64). */
#ifndef CL_PTRACE_H
#define CL_PTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* Seizes the thread; it is killed if we die while we hold it. */
int cl_ptrace_seize(pid_t tid, bool suspend_seccomp);
int cl_ptrace_interrupt(pid_t tid);
int cl_ptrace_getregs(pid_t tid, struct user_regs_struct *regs);
int cl_ptrace_setregs(pid_t tid, const struct user_regs_struct *regs);
/* The XSAVE area of the thread, in its standard format: how many bytes it has. To be set
 * with as many. */
enum { CL_XSTATE_MOST = 16384 };
int cl_ptrace_getxstate(pid_t tid, void *area, size_t room);
int cl_ptrace_setxstate(pid_t tid, const void *area, size_t size);
/* Where a component is in it, 0 for one that this processor does not have. */
uint32_t cl_xstate_offset(uint32_t component);
int cl_ptrace_getsigmask(pid_t tid, uint64_t *mask);
int cl_ptrace_setsigmask(pid_t tid, uint64_t mask);
/* Goes on to the next entry into or return from a system call. */
int cl_ptrace_syscall(pid_t tid);
int cl_ptrace_detach(pid_t tid);
/* One word of memory, aligned or not. */
int cl_ptrace_peek(pid_t tid, uint64_t address, uint64_t *word);
int cl_ptrace_poke(pid_t tid, uint64_t address, uint64_t word);

/* The system calls we have a client make. */
enum {
	CL_SYS_close = SYS_close,
	CL_SYS_fchdir = SYS_fchdir,
	CL_SYS_fcntl = SYS_fcntl,
	CL_SYS_mmap = SYS_mmap,
	CL_SYS_openat = SYS_openat,
	CL_SYS_recvmsg = SYS_recvmsg,
	CL_SYS_socketpair = SYS_socketpair,
};
enum {
	CL_F_DUPFD = 0,
	CL_F_DUPFD_CLOEXEC = 1030,
};

enum cl_wait {
	CL_WAIT_GONE,    /* exited, killed, or not ours any more */
	CL_WAIT_TRAP,    /* PTRACE_EVENT_STOP: PTRACE_INTERRUPT, or a group stop */
	CL_WAIT_SYSCALL, /* entry into or return from a system call */
	CL_WAIT_SIGNAL,  /* before delivery of *signal */
};
/* Waits for the thread's next stop: an enum cl_wait, or -EINTR from cl_alarm. */
int cl_ptrace_wait(pid_t tid, int *signal);

int cl_tgkill(pid_t tgid, pid_t tid, int signal);

#endif
