/*
 * Hostile processes of a tree: their ioctl arguments lie in memory that never
 * comes (userfaultfd). Each may hang itself; others are served meanwhile. Needs
 * root, for a userfaultfd that keeps the kernel waiting.
 */
#include "check.h"
#include "client.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/syscall.h>

#define STUCK 100 /* more than one process may keep waiting */

static int refused; /* calls that failed with EAGAIN */

static void *hang(void *page)
{
	int group = open_group();

	for (;;) {
		if (ioctl(group, VFIO_GROUP_GET_INFO, page) < 0 && errno == EAGAIN)
			__atomic_store_n(&refused, 1, __ATOMIC_RELAXED);
		usleep(1000);
	}
	return NULL;
}

static char *withheld(size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	range.range.start = (uintptr_t)map;
	range.range.len = size;
	if (fd < 0 || map == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &range))
		_exit(1);
	return map;
}

static void hang_many(int ready)
{
	char *map = withheld(STUCK * PAGE);
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < STUCK; i++)
		pthread_create(&t, &attr, hang, map + i * PAGE);
	while (!__atomic_load_n(&refused, __ATOMIC_RELAXED))
		usleep(10000);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t start_hanging(void)
{
	int p[2];
	char byte;
	pid_t pid;

	NEED(pipe(p) == 0);
	pid = fork();
	if (pid == 0)
		hang_many(p[1]);
	close(p[1]);
	CHECK(read(p[0], &byte, 1) == 1);
	close(p[0]);
	return pid;
}

static void served(void)
{
	int group = open_group(), device;

	CHECK(group >= 0);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	device = get_device(group);
	CHECK(device >= 0);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	close(device);
	close(group);
}

int main(void)
{
	pid_t hanging[2];

	check_start(60);
	check_topic = "with one process that hangs itself";
	hanging[0] = start_hanging();
	served();
	check_topic = "with two of them";
	hanging[1] = start_hanging();
	served();
	for (int i = 0; i < 2; i++)
		kill(hanging[i], SIGKILL);
	for (int i = 0; i < 2; i++)
		CHECK(waitpid(hanging[i], NULL, 0) == hanging[i]);
	check_topic = "when they are gone";
	served();
	return check_done();
}
