/* Moving bytes: to and from another process, and memory that its owner may take away meanwhile. */
#ifndef CL_COPY_H
#define CL_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cl_segment {
	void *local;
	uint64_t remote;
	size_t size;
};

/* Copies between us and the memory of `pid`: how many bytes, up to the first page that cannot be. One
 * process_vm_readv(2) or process_vm_writev(2) for each 1024 segments. */
ssize_t cl_copy_process(pid_t pid, const struct cl_segment *segments, size_t count, bool is_write);
/* The same through a /proc/<pid>/mem, one pread(2) or pwrite(2) a segment. */
ssize_t cl_copy_mem(int mem, const struct cl_segment *segments, size_t count, bool is_write);

/* What follows touches memory that may raise SIGBUS, and says -EFAULT where it does. Call
 * cl_guard_install() once before. */
int cl_guard_install(void);
/* 1, 2, 4 and 8 bytes that are aligned on both sides move by one access each; a read has acquire, a write
 * release semantics. Else bytes before the fault may have moved. */
int cl_guarded_copy(void *to, const void *from, size_t size);

enum cl_atomic { CL_ATOMIC_ADD, CL_ATOMIC_SWAP, CL_ATOMIC_COMPARE_SWAP };
/* One read-modify-write of `width` 4 or 8 bytes, aligned, sequentially consistent; gives the old value. */
int cl_guarded_atomic(void *at, int width, enum cl_atomic kind, uint64_t operand,
		      uint64_t expected, uint64_t *old);

/* A lock between our own threads: a word that is 0 at first. Not fair; waits by futex(2). */
void cl_lock(uint32_t *word);
void cl_unlock(uint32_t *word);
/* Waits while `*word` is `value`, or for no reason at all. */
void cl_futex_wait(uint32_t *word, uint32_t value);
void cl_futex_wake(uint32_t *word);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t cl_monotonic(void);
void cl_sleep_ms(unsigned ms);

#endif
