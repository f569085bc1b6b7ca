/*
 * SIGSTOP and SIGCONT at any moment of a descriptor's delivery: the parent sees
 * each stop, the child always goes on, with the right descriptor.
 *
 * stop_continue [SECONDS]
 */
#include "check.h"
#include "client.h"

struct shared {
	volatile long rounds;	/* that the child has done */
	volatile int quit;
	volatile int wrong_fd;
	volatile int failed;	/* the last errno */
	volatile int wrong_value;
};

static void child(int group, struct shared *shared)
{
	int low = lowest_free_fd();

	while (!shared->quit) {
		int fd = get_device(group);

		if (fd < 0)
			shared->failed = errno;
		else if (fd != low)
			shared->wrong_fd++;
		else if (bar_read(fd, 0) != EDU_ID)
			shared->wrong_value++;
		close(fd);
		shared->rounds++;
	}
	_exit(lowest_free_fd() == low ? 0 : 1);
}

/* Waits until the child's state changes as wanted; 0 when it does not. */
static int wait_state(pid_t pid, int options, int *status)
{
	long long deadline = now_us() + 10 * 1000000LL;

	while (now_us() < deadline) {
		if (waitpid(pid, status, options | WNOHANG) == pid)
			return 1;
		sleep_us(100);
	}
	return 0;
}

/* The child moves; 0 when it is stuck. */
static int makes_progress(const struct shared *shared)
{
	long long deadline = now_us() + 10 * 1000000LL;
	long before = shared->rounds;

	while (now_us() < deadline) {
		if (shared->rounds >= before + 2)
			return 1;
		sleep_us(200);
	}
	return 0;
}

static int stop_once(pid_t pid, struct shared *shared)
{
	int status = 0;
	long rounds;

	kill(pid, SIGSTOP);
	if (!CHECK(wait_state(pid, WUNTRACED, &status)))
		return 0;
	if (!CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP))
		return 0;
	rounds = shared->rounds;
	sleep_us(random() % 4000);
	CHECK_EQ(shared->rounds, rounds);
	kill(pid, SIGCONT);
	if (!CHECK(wait_state(pid, WCONTINUED, &status)))
		return 0;
	CHECK(WIFCONTINUED(status));
	return CHECK(makes_progress(shared));
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 5, group, stops = 0;
	struct shared *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long long end;
	pid_t pid;

	check_start(seconds + 60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	srandom(getpid());
	pid = fork_child();
	if (!pid)
		child(group, shared);

	check_topic = "stop and continue";
	check_quiet = 1;
	end = now_us() + seconds * 1000000LL;
	while (now_us() < end) {
		sleep_us(random() % 3000);
		if (!stop_once(pid, shared))
			break;
		stops++;
	}
	check_quiet = 0;
	note("%d stops in %ld rounds", stops, shared->rounds);
	shared->quit = 1;
	kill(pid, SIGCONT);
	CHECK_EQ(reap(pid), 0);
	CHECK(stops > 0);
	CHECK_EQ(shared->failed, 0);
	CHECK_EQ(shared->wrong_fd, 0);
	CHECK_EQ(shared->wrong_value, 0);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
