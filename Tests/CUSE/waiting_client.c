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

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
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

/* 32 calls wait at once, more than the daemon has threads, and others pass. */
static void many(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	double before = seconds();

	check_topic = "calls that wait hold no thread";
	for (int i = 0; i < 32; i++)
		if (fork() == 0)
			_exit(ioctl(device, AFTER, 3000) == 7 ? 0 : 1);
	usleep(300000);
	CHECK(ioctl(device, VFIO_DEVICE_GET_INFO, &info) < 0 && errno == ENOTTY);
	CHECK(seconds() - before < 2.5);
	for (int i = 0; i < 32; i++) {
		int status;

		wait(&status);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	CHECK(seconds() - before >= 3);
}

int main(void)
{
	int group;

	check_start(50);
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
