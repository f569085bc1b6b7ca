/*
 * What DMA is compared with: raw process_vm_readv, process_vm_writev and memcpy,
 * for the same sizes in the same order.
 *
 * reference client                 maps memory, prints "PID PRIVATE SHARED", waits
 * reference PID PRIVATE SHARED     measures
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SIZE (64u << 20)

static int client(void)
{
	int fd = memfd_create("shared", 0);
	char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared;

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		return 1;
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	memset(own, 1, SIZE);
	memset(shared, 2, SIZE);
	printf("%d %lx %lx %d\n", getpid(), (unsigned long)own, (unsigned long)shared, fd);
	fflush(stdout);
	while (getppid() != 1 && getchar() != EOF)
		;
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static pid_t pid;
static uint64_t own;
static char *shared, *buffer;

static void vm_read(size_t at, size_t size)
{
	struct iovec l = { buffer, size }, r = { (void *)(own + at), size };

	if (process_vm_readv(pid, &l, 1, &r, 1, 0) != (ssize_t)size)
		exit(1);
}

static void vm_write(size_t at, size_t size)
{
	struct iovec l = { buffer, size }, r = { (void *)(own + at), size };

	if (process_vm_writev(pid, &l, 1, &r, 1, 0) != (ssize_t)size)
		exit(1);
}

static void copy_read(size_t at, size_t size) { memcpy(buffer, shared + at, size); }
static void copy_write(size_t at, size_t size) { memcpy(shared + at, buffer, size); }

static void vm_scatter(size_t at, size_t size)
{
	struct iovec l[128], r[128];

	(void)size;
	for (size_t i = 0; i < 128; i++) {
		l[i] = (struct iovec){ buffer + i * 4096, 4096 };
		r[i] = (struct iovec){ (void *)(own + (at + i * 131 * 4096) % SIZE), 4096 };
	}
	if (process_vm_readv(pid, l, 128, r, 128, 0) != 128 * 4096)
		exit(1);
}

static void copy_scatter(size_t at, size_t size)
{
	(void)size;
	for (size_t i = 0; i < 128; i++)
		memcpy(buffer + i * 4096, shared + (at + i * 131 * 4096) % SIZE, 4096);
}

static void measure(const char *name, const char *what, void (*transfer)(size_t, size_t), size_t size,
		    size_t turns, size_t stride)
{
	double best = 1e18;

	for (int round = 0; round < 7; round++) {
		double start = now();
		size_t at = 0;

		for (size_t i = 0; i < turns; i++) {
			transfer(at, size);
			at = (at + stride) % SIZE;
		}
		double each = (now() - start) / turns;

		if (each < best)
			best = each;
	}
	printf("%s.%s\t%.3f\n", name, what, best);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 64, 4096, 64 << 10, 1 << 20, 16 << 20 };
	char path[64], what[32];

	if (argc == 2)
		return client();
	pid = atoi(argv[1]);
	own = strtoull(argv[2], NULL, 16);
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, argv[4]);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
	buffer = aligned_alloc(4096, 16 << 20);
	if (shared == MAP_FAILED)
		return 1;
	memset(buffer, 1, 16 << 20);
	for (size_t i = 0; i < 5; i++) {
		size_t size = sizes[i], stride = size < 4096 ? 4096 : size;
		size_t turns = (256u << 20) / size;

		turns = turns > 20000 ? 20000 : turns < 8 ? 8 : turns;
		snprintf(what, sizeof(what), "read.%zu", size);
		measure("copy", what, vm_read, size, turns, stride);
		measure("shared", what, copy_read, size, turns, stride);
		if (size == 4096) {
			measure("copy", "read.hot", vm_read, size, turns, 0);
			measure("shared", "read.hot", copy_read, size, turns, 0);
		}
		snprintf(what, sizeof(what), "write.%zu", size);
		measure("copy", what, vm_write, size, turns, stride);
		measure("shared", what, copy_write, size, turns, stride);
	}
	measure("copy", "read.scatter", vm_scatter, 0, 400, 4096);
	measure("shared", "read.scatter", copy_scatter, 0, 400, 4096);
	return 0;
}
