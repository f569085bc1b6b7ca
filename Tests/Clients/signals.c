/*
 * Signals while descriptors are delivered: no call fails with EINTR, no
 * descriptor is lost or delivered twice, no signal is lost or handled twice.
 *
 * signals retries: a call that has not begun may fail with EINTR, as where a
 * process waits for another one to begin it; it has then had no effect.
 */
#include "check.h"
#include "client.h"

#include <dirent.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;
static int retries;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void start_storm(int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval every_2_ms = {
		.it_interval = { .tv_usec = 2000 }, .it_value = { .tv_usec = 2000 },
	};

	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every_2_ms, NULL);
}

static void stop_storm(void)
{
	struct itimerval never = { .it_interval = { 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

/* What went wrong, counted: nothing is printed while signals arrive. */
struct tally {
	int calls, failed, interrupted, wrong_fd, wrong_value;
};

static void count_failure(struct tally *tally)
{
	tally->failed += !retries || errno != EINTR;
	tally->interrupted += errno == EINTR;
}

static uint32_t device_id(int device)
{
	uint32_t id;

	do {
		errno = 0;
		id = bar_read(device, 0);
	} while (retries && errno == EINTR);
	return id;
}

static void get_and_close(int group, int expected_fd, int rounds,
			  struct tally *tally)
{
	for (int i = 0; i < rounds; i++) {
		int fd = i & 1 ? get_iommu(group) : get_device(group);

		tally->calls++;
		if (fd < 0) {
			count_failure(tally);
			continue;
		}
		tally->wrong_fd += fd != expected_fd;
		if (!(i & 1) && device_id(fd) != EDU_ID)
			tally->wrong_value++;
		close(fd);
	}
}

static void ask(int group, int device, int rounds, struct tally *tally)
{
	for (int i = 0; i < rounds; i++) {
		struct vfio_group_info info = { .argsz = sizeof(info) };
		struct vfio_region_info region = { .argsz = sizeof(region) };

		tally->calls++;
		if (i & 1) {
			if (ioctl(group, VFIO_GROUP_GET_INFO, &info))
				count_failure(tally);
			else if (info.flags != 3)
				tally->wrong_value++;
		} else {
			if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
				count_failure(tally);
			else if (region.size != EDU_BAR_SIZE)
				tally->wrong_value++;
		}
	}
}

static void check_tally(const struct tally *tally)
{
	note("%s: %d calls under %d alarms, %d interrupted", check_topic,
	     tally->calls, (int)alarms, tally->interrupted);
	CHECK_EQ(tally->failed, 0);
	if (!retries)
		CHECK_EQ(tally->interrupted, 0);
	CHECK_EQ(tally->wrong_fd, 0);
	CHECK_EQ(tally->wrong_value, 0);
	CHECK(alarms > 0);
}

static void check_storm(int group, int flags)
{
	int low = lowest_free_fd(), fds = open_fds(), device;
	struct tally rounds = { 0 }, infos = { 0 };

	check_topic = flags ? "storm with SA_RESTART, descriptors" :
			      "storm, descriptors";
	start_storm(flags);
	get_and_close(group, low, 600, &rounds);	/* 300 of each */
	stop_storm();
	check_tally(&rounds);
	CHECK_EQ(lowest_free_fd(), low);
	CHECK_EQ(open_fds(), fds);
	CHECK_EQ(is_locked(group), 0);

	check_topic = flags ? "storm with SA_RESTART, info" : "storm, info";
	device = get_device(group);
	CHECK(device >= 0);
	start_storm(flags);
	ask(group, device, 3000, &infos);
	stop_storm();
	check_tally(&infos);
	close(device);
	CHECK_EQ(is_locked(group), 0);
}

static volatile sig_atomic_t handled;
static int answer_fd;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
	if (write(answer_fd, "", 1) != 1)
		_exit(2);
}

#define SIGNALS 200

/* Sends the next signal once the last one was handled: they do not merge. */
static void sender(int answers)
{
	srandom(getpid());
	for (int i = 0; i < SIGNALS; i++) {
		sleep_us(random() % 3000);
		kill(getppid(), SIGUSR1);
		if (!await(answers))
			_exit(1);
	}
	_exit(0);
}

static void check_exactly_once(int group)
{
	struct sigaction action = {
		.sa_handler = on_usr1, .sa_flags = SA_RESTART,
	};
	int low, answers[2], status;
	struct tally tally = { 0 };
	pid_t pid;

	check_topic = "each signal is handled once";
	NEED(pipe(answers) == 0);
	answer_fd = answers[1];
	sigaction(SIGUSR1, &action, NULL);
	pid = fork_child();
	if (!pid) {
		close(answers[1]);
		sender(answers[0]);
	}
	close(answers[0]);
	low = lowest_free_fd();
	while (waitpid(pid, &status, WNOHANG) == 0)
		get_and_close(group, low, 2, &tally);
	CHECK_EQ(status, 0);
	CHECK_EQ(handled, SIGNALS);
	CHECK_EQ(tally.failed, 0);
	CHECK_EQ(tally.wrong_fd, 0);
	CHECK_EQ(tally.wrong_value, 0);
	CHECK_EQ(lowest_free_fd(), low);
	CHECK_EQ(is_locked(group), 0);
}

/* The signal mask is the client's own, before and after. */
static void check_mask(int group)
{
	sigset_t set, before, after;
	int fd;

	check_topic = "signal mask";
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, NULL, &before);
	fd = get_device(group);
	CHECK(fd >= 0);
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(&before, sig) != sigismember(&after, sig))
			CHECK_EQ(sig, 0);
	CHECK_EQ(sigismember(&after, SIGUSR1), 1);
	CHECK_EQ(sigismember(&after, SIGALRM), 0);
	close(fd);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	int group;

	retries = argc > 1 && !strcmp(argv[1], "retries");
	check_start(300);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_storm(group, 0);
	check_storm(group, SA_RESTART);
	check_exactly_once(group);
	check_mask(group);
	return check_done();
}
