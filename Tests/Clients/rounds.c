/*
 * Open, dup, fork, close, many times: at the end nothing is left open, on
 * either side.
 *
 * rounds [ROUNDS]
 */
#include "check.h"
#include "client.h"

static void round_once(int group, int i)
{
	int own = open_group(), device = get_device(group), copy = dup(device);
	int iommu = i & 1 ? get_iommu(group) : -1;

	CHECK(own >= 0 && device >= 0 && copy >= 0);
	close(device);
	CHECK_EQ(bar_read(copy, 0), EDU_ID);
	if (i % 8 == 0) {
		pid_t pid = fork_child();

		if (!pid)
			_exit(bar_read(copy, 0) == EDU_ID ? 0 : 1);
		close(copy);
		CHECK_EQ(reap(pid), 0);
	} else if (i % 8 == 1) {
		dup2(own, copy);
		close(copy);
	} else {
		close(copy);
	}
	close(iommu);
	close(own);
	CHECK_EQ(is_locked(group), 0);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1000, group, low;

	check_start(300);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	low = lowest_free_fd();
	check_topic = "rounds";
	for (int i = 0; i < rounds; i++) {
		check_quiet = i > 0;
		round_once(group, i);
	}
	check_quiet = 0;
	CHECK_EQ(lowest_free_fd(), low);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
