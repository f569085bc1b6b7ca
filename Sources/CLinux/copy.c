#include "cl_copy.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1024 };	/* UIO_MAXIOV */

ssize_t cl_copy_process(pid_t pid, const struct cl_segment *segments, size_t count, bool is_write)
{
	struct iovec local[BATCH], remote[BATCH];
	ssize_t done = 0;

	for (size_t at = 0; at < count;) {
		size_t n = 0, wanted = 0;
		ssize_t moved;

		for (; n < BATCH && at < count; n++, at++) {
			local[n] = (struct iovec){ segments[at].local, segments[at].size };
			remote[n] = (struct iovec){ (void *)(uintptr_t)segments[at].remote,
						    segments[at].size };
			wanted += segments[at].size;
		}
		moved = is_write ? process_vm_writev(pid, local, n, remote, n, 0)
				 : process_vm_readv(pid, local, n, remote, n, 0);
		if (moved < 0)
			return done ? done : errno == EFAULT ? 0 : -errno;
		done += moved;
		if ((size_t)moved < wanted)
			break;
	}
	return done;
}

ssize_t cl_copy_mem(int mem, const struct cl_segment *segments, size_t count, bool is_write)
{
	ssize_t done = 0;

	for (size_t i = 0; i < count; i++) {
		const struct cl_segment *s = &segments[i];
		size_t at = 0;

		/* A call moves at most 2 GiB. */
		while (at < s->size) {
			off_t where = (off_t)(s->remote + at);
			char *local = (char *)s->local + at;
			ssize_t n;

			if (where < 0)
				return done;
			n = is_write ? pwrite(mem, local, s->size - at, where)
				     : pread(mem, local, s->size - at, where);
			if (n <= 0)
				return done;
			done += n;
			at += n;
		}
	}
	return done;
}

/* Where the thread goes on after a SIGBUS; null outside a guarded access. */
static _Thread_local void *volatile *recovery;
static struct sigaction previous;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	if (recovery)
		__builtin_longjmp((void **)recovery, 1);
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
	} else {
		/* The access is repeated, and ends us as it should. */
		signal(SIGBUS, SIG_DFL);
	}
}

int cl_guard_install(void)
{
	/* Not blocked in its handler, which does not return. */
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	return sigaction(SIGBUS, &action, &previous) < 0 ? -errno : 0;
}

static inline bool is_word(const void *to, const void *from, size_t size)
{
	return (((uintptr_t)to | (uintptr_t)from) & (size - 1)) == 0;
}

static inline void move(void *to, const void *from, size_t size)
{
	switch (size) {
#define WORD(type) \
	if (is_word(to, from, size)) { \
		__atomic_store_n((type *)to, __atomic_load_n((const type *)from, __ATOMIC_ACQUIRE), \
				 __ATOMIC_RELEASE); \
		return; \
	} \
	break
	case 1: WORD(uint8_t);
	case 2: WORD(uint16_t);
	case 4: WORD(uint32_t);
	case 8: WORD(uint64_t);
#undef WORD
	}
	memcpy(to, from, size);
}

__attribute__((noinline)) int cl_guarded_copy(void *to, const void *from, size_t size)
{
	void *frame[5];

	if (__builtin_setjmp(frame)) {
		recovery = NULL;
		return -EFAULT;
	}
	recovery = (void *volatile *)frame;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	move(to, from, size);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	recovery = NULL;
	return 0;
}

#define ATOMIC(type) \
	do { \
		type e = (type)expected; \
		switch (kind) { \
		case CL_ATOMIC_ADD: \
			*old = __atomic_fetch_add((type *)at, (type)operand, __ATOMIC_SEQ_CST); \
			break; \
		case CL_ATOMIC_SWAP: \
			*old = __atomic_exchange_n((type *)at, (type)operand, __ATOMIC_SEQ_CST); \
			break; \
		case CL_ATOMIC_COMPARE_SWAP: \
			__atomic_compare_exchange_n((type *)at, &e, (type)operand, 0, \
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
			*old = e; \
			break; \
		} \
	} while (0)

__attribute__((noinline)) int cl_guarded_atomic(void *at, int width, enum cl_atomic kind,
						uint64_t operand, uint64_t expected, uint64_t *old)
{
	void *frame[5];

	if (width != 4 && width != 8)
		return -EINVAL;
	if (__builtin_setjmp(frame)) {
		recovery = NULL;
		return -EFAULT;
	}
	recovery = (void *volatile *)frame;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (width == 4)
		ATOMIC(uint32_t);
	else
		ATOMIC(uint64_t);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	recovery = NULL;
	return 0;
}

/* 0: free; 1: held; 2: held, and somebody may wait (U. Drepper, "Futexes Are Tricky", mutex 2). */
static __attribute__((noinline)) void lock_slowly(uint32_t *word)
{
	for (int i = 0; i < 100; i++) {
		uint32_t free = 0;

		if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(word, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
	while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0)
		cl_futex_wait(word, 2);
}

void cl_lock(uint32_t *word)
{
	uint32_t free = 0;

	if (!__atomic_compare_exchange_n(word, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		lock_slowly(word);
}

void cl_unlock(uint32_t *word)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2)
		syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void cl_futex_wait(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void cl_futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

uint64_t cl_monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void cl_sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}
