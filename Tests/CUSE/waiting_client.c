/*
 * A client of the test daemon whose device answers ioctls later: 0x3bf0 after
 * argument milliseconds with 7, 0x3bf1 never.
 */
#include "check.h"
#include "client.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define AFTER 0x3bf0
#define NEVER 0x3bf1

static int device;

static void nothing(int sig)
{
	(void)sig;
}

static pid_t waiter(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		ioctl(device, NEVER, 0);
		_exit(errno == EINTR ? 42 : 1);
	}
	usleep(300000);
	return pid;
}

static void interrupted(void)
{
	struct sigaction a = { .sa_handler = nothing };
	pid_t pid;
	int status;

	check_topic = "a signal ends the wait";
	sigaction(SIGUSR1, &a, NULL);
	pid = waiter();
	kill(pid, SIGUSR1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);

	check_topic = "SIGKILL ends the wait";
	pid = waiter();
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status));
}

/* 32 calls wait at once, more than the daemon has workers, and others pass. */
static void many(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	pid_t waiters[32];
	int status;

	check_topic = "calls that wait hold no thread";
	for (int i = 0; i < 32; i++)
		if ((waiters[i] = fork()) == 0)
			_exit(ioctl(device, NEVER, 0) < 0 && errno == EINTR ? 42 : 1);
	usleep(300000);
	CHECK(ioctl(device, VFIO_DEVICE_GET_INFO, &info) < 0 && errno == ENOTTY);
	CHECK(waitpid(-1, &status, WNOHANG) == 0);
	for (int i = 0; i < 32; i++) {
		kill(waiters[i], SIGUSR1);
		CHECK(waitpid(waiters[i], &status, 0) == waiters[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	}
}

int main(void)
{
	int group;

	check_start(250);
	check_topic = "an answer later";
	group = open("/dev/vfio/test:1", O_RDWR);
	CHECK(group >= 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "waiting");
	CHECK(device >= 0);
	CHECK(ioctl(device, AFTER, 0) == 7);
	CHECK(ioctl(device, AFTER, 200) == 7);
	interrupted();
	many();
	return check_done();
}
