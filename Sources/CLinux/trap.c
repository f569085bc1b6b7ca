#include "cl_trap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS \
	(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)

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

/* struct procmap_query of <linux/fs.h>, from Linux 6.11 on. */
struct query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)

static bool ask(int maps, uint64_t address, struct cl_mapping *m)
{
	struct query q = { .size = sizeof(q), .address = address };

	if (ioctl(maps, QUERY, &q) < 0)
		return false;
	*m = (struct cl_mapping){
		.start = q.start, .end = q.end, .offset = q.offset, .inode = q.inode,
		.device = (uint64_t)q.major << 32 | q.minor,
	};
	return true;
}

static int search(int maps, uint64_t address, struct cl_mapping *m)
{
	FILE *f = fdopen(maps, "re");
	char line[4400];
	int r = -ENOENT;

	if (!f) {
		close(maps);
		return -ENOMEM;
	}
	while (r < 0 && fgets(line, sizeof(line), f)) {
		unsigned major, minor;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64,
			   &m->start, &m->end, &m->offset, &major, &minor, &m->inode) != 6)
			continue;
		if (address < m->start || address >= m->end)
			continue;
		m->device = (uint64_t)major << 32 | minor;
		r = 0;
	}
	fclose(f);
	return r;
}

int cl_trap_mapping(pid_t tid, uint64_t address, struct cl_mapping *mapping)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	int maps = open(path, O_RDONLY | O_CLOEXEC);

	if (maps < 0)
		return -errno;
	if (ask(maps, address, mapping)) {
		close(maps);
		return 0;
	}
	return search(maps, address, mapping);
}
