#include "cl_launch.h"

#include "cl_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child says: where it failed and why, or that it has a filter, whose listener comes along. */
struct message {
	int step, error;
};

static int say(int socket, struct message m, int fd)
{
	struct iovec v = { &m, sizeof(m) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		h.msg_control = &control;
		h.msg_controllen = sizeof(control);
	}
	return sendmsg(socket, &h, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 1 and the message, 0 when the other side is gone. */
static int hear(int socket, struct message *m, int *fd)
{
	struct iovec v = { m, sizeof(*m) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr h = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(*m))
		return 0;
	if (h.msg_controllen >= sizeof(control.header) && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(&control.header), sizeof(int));
	return 1;
}

/* The signal mask we were started with: threads of ours have others. */
static sigset_t first_mask;

static void __attribute__((constructor)) remember_mask(void)
{
	sigprocmask(SIG_SETMASK, NULL, &first_mask);
}

/* Handlers are ours and not the program's; what is ignored stays so, as across any exec. */
static void reset_signals(void)
{
	struct sigaction a, standard = { .sa_handler = SIG_DFL };

	for (int s = 1; s < NSIG; s++)
		if (sigaction(s, NULL, &a) == 0 && a.sa_handler != SIG_IGN)
			sigaction(s, &standard, NULL);
	sigprocmask(SIG_SETMASK, &first_mask, NULL);
}

/* After fork: nothing but async-signal-safe calls, and after the filter nothing that it notifies. */
static _Noreturn void be_child(int socket, pid_t parent, const struct sock_filter *filter,
			       size_t length, char *const *argv)
{
	struct message m = { CL_LAUNCH_FILTER, 0 };
	int listener, fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	reset_signals();
	listener = cl_seccomp_install(filter, length);
	if (listener < 0) {
		m.error = -listener;
		say(socket, m, -1);
		_exit(125);
	}
	if (say(socket, m, listener) < 0)
		_exit(125);
	close(listener);
	if (!hear(socket, &m, &fd))
		_exit(125);
	execvp(argv[0], argv);
	m.step = CL_LAUNCH_EXEC;
	m.error = errno;
	say(socket, m, -1);
	_exit(125);
}

int cl_launch(const struct sock_filter *filter, size_t length, char *const *argv,
	      struct cl_child *child, int *step)
{
	struct message m = { 0, 0 };
	pid_t parent = getpid();
	int sockets[2];

	*step = CL_LAUNCH_SOCKET;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	*step = CL_LAUNCH_FORK;
	child->pid = fork();
	if (child->pid < 0) {
		int error = errno;

		close(sockets[0]);
		close(sockets[1]);
		return -error;
	}
	if (child->pid == 0) {
		close(sockets[0]);
		be_child(sockets[1], parent, filter, length, argv);
	}
	close(sockets[1]);
	child->socket = sockets[0];
	*step = CL_LAUNCH_FILTER;
	if (hear(child->socket, &m, &child->listener) && child->listener >= 0)
		return 0;
	close(child->socket);
	waitpid(child->pid, NULL, 0);
	return m.error ? -m.error : -ECHILD;
}

int cl_launch_go(struct cl_child *child)
{
	struct message m = { 0, 0 };
	int fd, error = 0;

	if (say(child->socket, m, -1) < 0)
		error = ECHILD;
	else if (hear(child->socket, &m, &fd))
		error = m.error;
	close(child->socket);
	return -error;
}

void cl_launch_cancel(struct cl_child *child)
{
	close(child->socket);
	waitpid(child->pid, NULL, 0);
}

int cl_become(char *const *argv)
{
	pthread_sigmask(SIG_SETMASK, &first_mask, NULL);
	execvp(argv[0], argv);
	return -errno;
}

int cl_adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = errno;
	close(fd);
	return -error;
}

int cl_enter_user_namespace(void)
{
	char users[32], groups[32];
	int r;

	snprintf(users, sizeof(users), "%u %u 1", geteuid(), geteuid());
	snprintf(groups, sizeof(groups), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	if ((r = put("/proc/self/setgroups", "deny")) < 0 ||
	    (r = put("/proc/self/uid_map", users)) < 0)
		return r;
	return put("/proc/self/gid_map", groups);
}
