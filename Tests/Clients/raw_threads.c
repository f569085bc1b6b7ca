/*
 * Threads that no C library made, which make raw system calls, as those of a Go
 * program do; and which a signal interrupts all the time, as Go's scheduler
 * does it. Each call has its effect once, and none fails. The exit status is
 * the step that failed.
 */
#include "raw.h"

#include <linux/sched.h>
#include <linux/signal.h>

#define THREADS	8
#define ROUNDS	400
#define STACK	65536
#define PREEMPT	23	/* SIGURG */

enum step { FINE, OPEN, DEVICE, SIGNAL, CLONE, THREAD };

struct thread {
	int tid;	/* 0 once it has ended */
	long failures;
};

/* A signal frame comes back by this. */
struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static struct thread threads[THREADS];
static char stacks[THREADS][STACK] __attribute__((aligned(16)));
static char signal_stacks[THREADS][STACK] __attribute__((aligned(16)));
static long device, group;
static long handled;

void restore(void);
asm("restore:\n"
    "	mov $15, %eax\n"	/* rt_sigreturn */
    "	syscall\n");

static void preempted(int signal)
{
	(void)signal;
	__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void work(struct thread *self)
{
	struct vfio_region_info info;
	stack_t stack = { 0 };
	__u32 id, flags;
	long copy;

	stack.ss_sp = signal_stacks[self - threads];
	stack.ss_size = STACK;
	call(__NR_sigaltstack, (long)&stack, 0, 0, 0);
	for (int i = 0; i < ROUNDS; i++) {
		info.argsz = sizeof(info);
		info.flags = 0;
		info.index = 7;
		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) ||
		    info.size != 256)
			self->failures++;
		id = 0;
		if (call(__NR_pread64, device, (long)&id, 4, 0) != 4 ||
		    id != 0x010000ed)
			self->failures++;
		if (i % 8)
			continue;
		copy = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.1");
		flags = 0;
		if (copy < 0 ||
		    call(__NR_pread64, copy, (long)&flags, 4, 7l << 40) != 4 ||
		    flags != 0x11e81234 || call(__NR_close, copy, 0, 0, 0))
			self->failures++;
	}
}

__attribute__((used)) void begin(struct thread *self)
{
	work(self);
	call(__NR_exit, 0, 0, 0, 0);
}

/* clone(2): the new thread begins at `begin` with `self`. */
static long start(struct thread *self, char *top)
{
	register long r10 asm("r10") = (long)&self->tid;
	register long r12 asm("r12") = (long)self;
	long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		CLONE_SYSVSEM | CLONE_THREAD | CLONE_PARENT_SETTID |
		CLONE_CHILD_CLEARTID;
	long result;

	asm volatile("syscall\n\t"
		     "test %%eax, %%eax\n\t"
		     "jnz 1f\n\t"
		     "mov %%r12, %%rdi\n\t"
		     "call begin\n"
		     "1:"
		     : "=a"(result)
		     : "a"(__NR_clone), "D"(flags), "S"(top), "d"(&self->tid),
		       "r"(r10), "r"(r12)
		     : "rcx", "r11", "memory");
	return result;
}

__attribute__((used)) int run(void)
{
	struct action action = {
		preempted, SA_RESTART | SA_ONSTACK | 0x04000000, restore, 0,
	};
	long pid = call(__NR_getpid, 0, 0, 0, 0), failures = 0;
	struct { long seconds, nanoseconds; } pause = { 0, 100000 };
	int running;

	group = call(__NR_openat, AT_FDCWD, (long)"/dev/vfio/pci:240", O_RDWR, 0);
	if (group < 0)
		return OPEN;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	if (device < 0)
		return DEVICE;
	if (call(__NR_rt_sigaction, PREEMPT, (long)&action, 0, 8))
		return SIGNAL;
	for (int i = 0; i < THREADS; i++)
		if (start(&threads[i], stacks[i] + STACK) < 0)
			return CLONE;
	do {
		running = 0;
		for (int i = 0; i < THREADS; i++) {
			int tid = __atomic_load_n(&threads[i].tid, __ATOMIC_ACQUIRE);

			if (!tid)
				continue;
			running++;
			call(__NR_tgkill, pid, tid, PREEMPT, 0);
		}
		call(__NR_nanosleep, (long)&pause, 0, 0, 0);
	} while (running);
	for (int i = 0; i < THREADS; i++)
		failures += threads[i].failures;
	return failures ? THREAD : handled ? FINE : SIGNAL;
}
