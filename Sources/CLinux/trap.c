#include "cl_trap.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS \
	(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | \
	 PTRACE_O_TRACESYSGOOD)

/* /proc/<tid>/status, `TracerPid:`. */
static bool is_seized(pid_t tid)
{
	char path[40], line[128];
	long tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %ld", &tracer) == 1)
			break;
	fclose(f);
	return tracer == gettid();
}

/* Seizes the threads that are listed; how many were new, or -errno. */
static int seize_listed(pid_t tgid)
{
	char path[40];
	int added = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	DIR *tasks = opendir(path);

	if (!tasks)
		return -errno;
	for (struct dirent *d; (d = readdir(tasks)) && added >= 0;) {
		pid_t tid = atoi(d->d_name);

		if (tid <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, tid, 0, OPTIONS) == 0)
			added++;
		else if (errno != ESRCH && !is_seized(tid))
			added = -EPERM;
	}
	closedir(tasks);
	return added;
}

int cl_trap_seize(pid_t tgid)
{
	int n;

	/* Until all threads are seized, one that is not may start another. */
	do
		n = seize_listed(tgid);
	while (n > 0);
	return n;
}

bool cl_trap_is_ours(pid_t tid)
{
	unsigned long message;

	return ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) == 0 || errno != ESRCH;
}

enum cl_trap_stop cl_trap_stop(int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	switch (event) {
	case 0:
		return CL_TRAP_SIGNAL;
	case PTRACE_EVENT_EXEC:
		return CL_TRAP_EXEC;
	case PTRACE_EVENT_STOP:
		if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
		    signal == SIGTTOU)
			return CL_TRAP_GROUP_STOP;
		return CL_TRAP_EVENT;
	default:
		return CL_TRAP_EVENT;
	}
}

bool cl_trap_is_fault(pid_t tid, uint64_t *address)
{
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) < 0 || info.si_signo != SIGBUS ||
	    info.si_code != BUS_ADRERR)
		return false;
	*address = (uint64_t)(uintptr_t)info.si_addr;
	return true;
}

int cl_trap_go_on(pid_t tid, int signal)
{
	return ptrace(PTRACE_CONT, tid, 0, (uintptr_t)signal) < 0 ? -errno : 0;
}

int cl_trap_listen(pid_t tid)
{
	return ptrace(PTRACE_LISTEN, tid, 0, 0) < 0 ? -errno : 0;
}

int cl_trap_let_go(pid_t tid)
{
	return ptrace(PTRACE_DETACH, tid, 0, 0) < 0 ? -errno : 0;
}
