/*
 * Killed while it changes its working directory: nothing hangs, and the parent
 * learns how it ended. `directory_killed self` is killed itself.
 */
#include "check.h"
#include "client.h"

#define DEVICE	"/sys/bus/pci/devices/0000:06:0d.0"

static void change_for_ever(void)
{
	for (;;)
		if (chdir(DEVICE) || chdir("/dev/vfio"))
			exit(3);
}

int main(int argc, char **argv)
{
	check_start(60);
	if (argc > 1 && !strcmp(argv[1], "self")) {
		pid_t victim = getpid();

		if (!fork()) {
			sleep_us(100000);
			kill(victim, SIGKILL);
			_exit(0);
		}
		change_for_ever();
	}
	check_topic = "killed in chdir";
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();
		int status = 0;

		if (!pid)
			change_for_ever();
		sleep_us(2000 + 300 * i);
		kill(pid, SIGKILL);
		check_quiet = 1;
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	return check_done();
}
