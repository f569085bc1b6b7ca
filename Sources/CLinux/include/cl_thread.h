/* Threads: what pthread and timer_create(2) do, without their unions and macros. */
#ifndef CL_THREAD_H
#define CL_THREAD_H

#include <stdint.h>
#include <sys/types.h>

/* Starts a detached thread of 256 KiB of stack with all signals blocked but those of cl_alarm. */
int cl_thread_start(const char *name, void (*body)(void *), void *argument);

pid_t cl_gettid(void);

/* From `milliseconds` on, system calls of the calling thread that block return EINTR, again and
 * again until cl_alarm(0). */
int cl_alarm(uint32_t milliseconds);

#endif
