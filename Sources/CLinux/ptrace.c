#include "cl_ptrace.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

static int call(long request, pid_t tid, uintptr_t addr, uintptr_t data)
{
	return ptrace(request, tid, (void *)addr, (void *)data) < 0 ? -errno : 0;
}

int cl_ptrace_seize(pid_t tid, bool suspend_seccomp)
{
	return call(PTRACE_SEIZE, tid, 0,
		    PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL |
			    (suspend_seccomp ? PTRACE_O_SUSPEND_SECCOMP : 0));
}

int cl_ptrace_interrupt(pid_t tid)
{
	return call(PTRACE_INTERRUPT, tid, 0, 0);
}

int cl_ptrace_getregs(pid_t tid, struct user_regs_struct *regs)
{
	return call(PTRACE_GETREGS, tid, 0, (uintptr_t)regs);
}

int cl_ptrace_setregs(pid_t tid, const struct user_regs_struct *regs)
{
	return call(PTRACE_SETREGS, tid, 0, (uintptr_t)regs);
}

int cl_ptrace_getxstate(pid_t tid, void *area, size_t room)
{
	struct iovec io = { area, room };
	int result = call(PTRACE_GETREGSET, tid, NT_X86_XSTATE, (uintptr_t)&io);

	return result < 0 ? result : (int)io.iov_len;
}

int cl_ptrace_setxstate(pid_t tid, const void *area, size_t size)
{
	struct iovec io = { (void *)area, size };

	return call(PTRACE_SETREGSET, tid, NT_X86_XSTATE, (uintptr_t)&io);
}

uint32_t cl_xstate_offset(uint32_t component)
{
	unsigned int size, offset, flags, more;

	if (!__get_cpuid_count(0xd, component, &size, &offset, &flags, &more) || !size)
		return 0;
	return offset;
}

int cl_ptrace_getsigmask(pid_t tid, uint64_t *mask)
{
	return call(PTRACE_GETSIGMASK, tid, sizeof(*mask), (uintptr_t)mask);
}

int cl_ptrace_setsigmask(pid_t tid, uint64_t mask)
{
	return call(PTRACE_SETSIGMASK, tid, sizeof(mask), (uintptr_t)&mask);
}

int cl_ptrace_syscall(pid_t tid)
{
	return call(PTRACE_SYSCALL, tid, 0, 0);
}

int cl_ptrace_detach(pid_t tid)
{
	return call(PTRACE_DETACH, tid, 0, 0);
}

int cl_ptrace_peek(pid_t tid, uint64_t address, uint64_t *word)
{
	errno = 0;
	long w = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)address, NULL);

	if (errno)
		return -errno;
	*word = (uint64_t)w;
	return 0;
}

int cl_ptrace_poke(pid_t tid, uint64_t address, uint64_t word)
{
	return call(PTRACE_POKEDATA, tid, address, word);
}

int cl_ptrace_wait(pid_t tid, int *signal)
{
	int status;

	if (waitpid(tid, &status, __WALL) < 0)
		return errno == ECHILD ? CL_WAIT_GONE : -errno;
	if (!WIFSTOPPED(status))
		return CL_WAIT_GONE;
	*signal = WSTOPSIG(status);
	if (status >> 16 == PTRACE_EVENT_STOP)
		return CL_WAIT_TRAP;
	if (*signal == (SIGTRAP | 0x80))
		return CL_WAIT_SYSCALL;
	return CL_WAIT_SIGNAL;
}

int cl_tgkill(pid_t tgid, pid_t tid, int signal)
{
	return syscall(SYS_tgkill, tgid, tid, signal) < 0 ? -errno : 0;
}
