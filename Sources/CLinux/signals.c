#include "cl_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2] = { -1, -1 };

static void make_pipe(void)
{
	if (pipe2(ends, O_CLOEXEC) == 0)
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
}

static void tell(int number, siginfo_t *info, void *context)
{
	struct cl_signal s = { number, info->si_code <= 0 };
	int error = errno;

	(void)context;
	/* A full pipe holds a thousand signals that nobody has looked at: one more is no news. */
	if (write(ends[1], &s, sizeof(s)) < 0)
		errno = error;
	errno = error;
}

int cl_signals_watch(int number)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sigaction old, a = { .sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_RESTART };

	pthread_once(&once, make_pipe);
	if (ends[0] < 0)
		return -EMFILE;
	if (sigaction(number, NULL, &old) < 0)
		return -errno;
	if (old.sa_handler == SIG_IGN && number != SIGCHLD)
		return 0;
	sigfillset(&a.sa_mask);
	return sigaction(number, &a, NULL) < 0 ? -errno : 0;
}

void cl_signals_wake(void)
{
	struct cl_signal s = { 0, false };

	/* A full pipe wakes as well. */
	if (write(ends[1], &s, sizeof(s)) < 0)
		return;
}

int cl_signals_next(struct cl_signal *signal)
{
	ssize_t n;

	do
		n = read(ends[0], signal, sizeof(*signal));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*signal) ? 0 : -EIO;
}

void cl_signals_stop_self(void)
{
	kill(getpid(), SIGSTOP);
}

enum cl_child_news cl_child_news(pid_t *pid, int *value)
{
	int status;

	*pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL);
	if (*pid <= 0)
		return CL_CHILD_NONE;
	if (WIFEXITED(status)) {
		*value = WEXITSTATUS(status);
		return CL_CHILD_EXITED;
	}
	if (WIFSIGNALED(status)) {
		*value = WTERMSIG(status);
		return CL_CHILD_KILLED;
	}
	*value = status;
	return WIFSTOPPED(status) ? CL_CHILD_STOPPED : CL_CHILD_CONTINUED;
}

const char *cl_error_name(int error)
{
	return strerrorname_np(error);
}
