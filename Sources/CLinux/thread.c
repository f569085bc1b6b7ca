#include "cl_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct start {
	void (*body)(void *);
	void *argument;
	char name[16];
};

static void nothing(int signal)
{
	(void)signal;
}

static int alarm_signal(void)
{
	return SIGRTMIN;
}

static void install_alarm_handler(void)
{
	struct sigaction a = { .sa_handler = nothing }; /* no SA_RESTART: EINTR is the point */

	sigaction(alarm_signal(), &a, NULL);
}

static void *run(void *p)
{
	struct start s = *(struct start *)p;
	sigset_t all;

	free(p);
	sigfillset(&all);
	sigdelset(&all, alarm_signal());
	/* Raised by the thread's own access: blocked, it would end us (cl_copy.h). */
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_setname_np(pthread_self(), s.name);
	s.body(s.argument);
	return NULL;
}

int cl_thread_start(const char *name, void (*body)(void *), void *argument)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct start *s = malloc(sizeof(*s));
	pthread_attr_t attr;
	pthread_t t;
	int r;

	if (!s)
		return -ENOMEM;
	pthread_once(&once, install_alarm_handler);
	s->body = body;
	s->argument = argument;
	strncpy(s->name, name, sizeof(s->name) - 1);
	s->name[sizeof(s->name) - 1] = 0;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	r = pthread_create(&t, &attr, run, s);
	pthread_attr_destroy(&attr);
	if (r)
		free(s);
	return -r;
}

pid_t cl_gettid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static _Thread_local timer_t timer;
static _Thread_local int has_timer;

static int disarm(void)
{
	if (has_timer)
		timer_delete(timer);
	has_timer = 0;
	return 0;
}

int cl_alarm(uint32_t milliseconds)
{
	disarm();
	if (!milliseconds)
		return 0;

	struct sigevent e = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = alarm_signal(),
	};
	/* Repeating, so that one which comes just before the blocking call is not the last. */
	struct itimerspec t = {
		.it_value = { milliseconds / 1000, (milliseconds % 1000) * 1000000L },
		.it_interval = { 0, 50 * 1000000L },
	};

	e.sigev_notify_thread_id = cl_gettid();
	if (timer_create(CLOCK_MONOTONIC, &e, &timer) < 0)
		return -errno;
	has_timer = 1;
	if (timer_settime(timer, 0, &t, NULL) == 0)
		return 0;

	int error = errno;

	disarm();
	return -error;
}

int cl_sem_wait(sem_t *semaphore, uint32_t milliseconds)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += milliseconds / 1000;
	end.tv_nsec += (milliseconds % 1000) * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000L;
	}
	while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &end) < 0)
		if (errno != EINTR)
			return 0;
	return 1;
}

static _Thread_local int worker = -1;

void cl_set_worker(int number)
{
	worker = number;
}

int cl_worker(void)
{
	return worker;
}
