/*
 * Checks for the test clients: one line each, `ok NAME` or
 * `FAILED NAME: FILE:LINE WHAT, got ...`, and a last line
 * `N passed, N failed`. Include before anything else.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shared with forked children, so that their checks count too. */
struct check_counts {
	int passed;
	int failed;
};

static struct check_counts *check_counts;
static const char *check_topic = "";	/* what the next checks are about */
static int check_quiet;			/* print failures only: for loops */

static inline const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "unknown errno";
}

static inline void check_timed_out(int sig)
{
	static const char text[] = "FAILED timeout: the client did not finish\n";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

/*
 * First thing in main. A timer of its own, not alarm(): some clients need
 * SIGALRM.
 */
static inline void check_start(int seconds)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGXCPU,
	};
	struct itimerspec when = { .it_value = { .tv_sec = seconds } };
	timer_t timer;

	setvbuf(stdout, NULL, _IOLBF, 0);
	check_counts = mmap(NULL, sizeof(*check_counts), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (check_counts == MAP_FAILED)
		exit(2);
	signal(SIGXCPU, check_timed_out);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &when, NULL))
		exit(2);
}

/* Last thing in main: its exit status. */
static inline int check_done(void)
{
	printf("%d passed, %d failed\n", check_counts->passed,
	       check_counts->failed);
	return check_counts->failed ? 1 : 0;
}

/* Something worth knowing that no rule decides. */
__attribute__((format(printf, 1, 2)))
static inline void note(const char *format, ...)
{
	va_list args;

	printf("note ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

__attribute__((format(printf, 5, 6)))
static inline int check_report(int good, const char *file, int line,
			       const char *what, const char *format, ...)
{
	int saved = errno;
	char got[160];
	va_list args;

	va_start(args, format);
	vsnprintf(got, sizeof(got), format, args);
	va_end(args);
	__atomic_add_fetch(good ? &check_counts->passed : &check_counts->failed,
			   1, __ATOMIC_RELAXED);
	if (!good)
		printf("FAILED %s: %s:%d %s, got %s\n", check_topic, file, line,
		       what, got);
	else if (!check_quiet)
		printf("ok %s: %s\n", check_topic, what);
	errno = saved;
	return good;
}

static inline int check_true(int good, const char *file, int line,
			     const char *what)
{
	return check_report(good, file, line, what, "false");
}

static inline int check_call(const char *file, int line, const char *what,
			     long result)
{
	if (result == -1)
		return check_report(0, file, line, what, "-1 %s",
				    errno_name(errno));
	return check_report(result >= 0, file, line, what, "%ld", result);
}

static inline int check_error(const char *file, int line, const char *what,
			      const char *name, long result, int error)
{
	char text[200];
	int got = errno;

	snprintf(text, sizeof(text), "%s: %s", what, name);
	if (result != -1)
		return check_report(0, file, line, text, "%ld", result);
	return check_report(got == error, file, line, text, "-1 %s",
			    errno_name(got));
}

static inline int check_equal(const char *file, int line, const char *what,
			      unsigned long long got, unsigned long long want)
{
	char text[200];

	snprintf(text, sizeof(text), "%s == %#llx", what, want);
	return check_report(got == want, file, line, text, "%#llx", got);
}

/* All give 1 when the check passed. errno is that of the call afterwards. */
#define CHECK(cond) \
	check_true(!!(cond), __FILE__, __LINE__, #cond)
/* The call gives no negative number. */
#define CHECK_OK(call) ({ \
	errno = 0; \
	long result_ = (long)(call); \
	check_call(__FILE__, __LINE__, #call, result_); })
/* The call gives -1 and sets errno to that. */
#define CHECK_ERR(call, error) ({ \
	errno = 0; \
	long result_ = (long)(call); \
	check_error(__FILE__, __LINE__, #call, #error, result_, error); })
#define CHECK_EQ(got, want) \
	check_equal(__FILE__, __LINE__, #got, \
		    (unsigned long long)(got), (unsigned long long)(want))
/* For what the client cannot go on without. */
#define NEED(cond) do { \
	if (!CHECK(cond)) \
		exit(check_done()); \
	} while (0)

static inline void sleep_us(long us)
{
	struct timespec left = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static inline long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/*
 * A child that dies with its parent: a client that fails must not leave one
 * behind that keeps the group busy.
 */
static inline pid_t fork_child(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
	return 0;
}

/* The exit status of a child, or 1000 + the signal that killed it. */
static inline int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

/* One byte from one process to another: "go on", "done". */
static inline void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		perror("tell");
}

/* 1, or 0 when the other side is gone. */
static inline int await(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

#endif /* CHECK_H */
