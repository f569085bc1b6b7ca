/*
 * A client that is killed at any moment of a descriptor's delivery is reaped
 * within a second, and what it owned is free 100 ms later.
 *
 * killed [ROUNDS]
 */
#include "check.h"
#include "client.h"

#define REAP_LIMIT_US	1000000
#define FREE_LIMIT_US	100000

static void child(int ready)
{
	int group = open_group(), iommu = get_iommu(group), device;
	char *memory = new_pages(4);

	map_dma(iommu, MAP_RW, memory, 0x10000, 4 * PAGE);
	device = get_device(group);
	if (group < 0 || iommu < 0 || device < 0)
		_exit(1);
	tell(ready);
	for (;;)
		close(get_device(group));
}

/* How long it takes until the child is reaped, in us; -1: too long. */
static long long reaped_after(pid_t pid, int *status)
{
	long long start = now_us(), waited;

	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);

		waited = now_us() - start;
		if (got == pid)
			return waited;
		if (waited > REAP_LIMIT_US)
			return -1;
		sleep_us(100);
	}
}

static long long kill_once(int group, long long *slowest_reap)
{
	long long reaped, unlocked;
	int ready[2], status = 0, came_up;
	pid_t pid;

	if (pipe(ready))
		exit(2);
	pid = fork_child();
	if (!pid)
		child(ready[1]);
	close(ready[1]);
	came_up = CHECK(await(ready[0]));
	sleep_us(random() % 5000);
	kill(pid, SIGKILL);
	reaped = reaped_after(pid, &status);
	close(ready[0]);
	if (!CHECK(reaped >= 0) || !came_up)
		return -1;
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	unlocked = unlocked_after(group, FREE_LIMIT_US);
	CHECK(unlocked >= 0);
	if (reaped > *slowest_reap)
		*slowest_reap = reaped;
	return unlocked;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100, group, device, done = 0;
	long long slowest_reap = 0, slowest_free = 0;

	check_start(60 + rounds);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	srandom(getpid());
	check_topic = "killed";
	check_quiet = 1;
	while (done < rounds) {
		long long unlocked = kill_once(group, &slowest_reap);

		if (unlocked < 0)
			break;
		if (unlocked > slowest_free)
			slowest_free = unlocked;
		done++;
	}
	check_quiet = 0;
	note("%d rounds, reaped within %lld us, free %lld us later", done,
	     slowest_reap, slowest_free);
	CHECK_EQ(done, rounds);
	check_topic = "after the last one";
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
