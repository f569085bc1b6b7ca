/* Threads: what pthread and timer_create(2) do, without their unions and macros. */
#ifndef CL_THREAD_H
#define CL_THREAD_H

#include <semaphore.h>
#include <stdint.h>
#include <sys/types.h>

/* Starts a detached thread of 256 KiB of stack with all signals blocked but those of cl_alarm. */
int cl_thread_start(const char *name, void (*body)(void *), void *argument);

pid_t cl_gettid(void);

/* From `milliseconds` on, system calls of the calling thread that block return EINTR, again and
 * again until cl_alarm(0). */
int cl_alarm(uint32_t milliseconds);

/* Takes one from the semaphore: 1, or 0 when there was none to take in that time. */
int cl_sem_wait(sem_t *semaphore, uint32_t milliseconds);

/* A number of the calling thread's own; -1 until it is set. */
void cl_set_worker(int number);
int cl_worker(void);

#endif
