/*
 * What an ioctl costs on the VFIO nodes, next to what it costs on the reference
 * server, the same kernel and the same moment. Prints the median of the blocks'
 * means, in microseconds, as one line of JSON.
 *
 * client [-b BLOCKS] [-n CALLS A BLOCK] [-s] [GROUP NODE [DEVICE NAME]]
 *
 * Each block does the same number of calls of one kind; the kinds take turns,
 * in another order each time, so that what slows the machine down for a while
 * slows all of them. -s leaves VFIO out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "reference.h"

static int reference = -1, group = -1, device = -1;

static int do_getpid(void)
{
	return syscall(SYS_getpid) > 0 ? 0 : -1;
}

static int do_nodata(void)
{
	return ioctl(reference, REFERENCE_NODATA);
}

static int do_retry8(void)
{
	struct reference_8 info = { .argsz = sizeof(info) };

	return ioctl(reference, REFERENCE_RETRY8, &info) || info.flags != 1;
}

static int do_retry32(void)
{
	struct reference_32 info = { .argsz = sizeof(info), .index = 7 };

	return ioctl(reference, REFERENCE_RETRY32, &info) ||
		info.offset != 7ull << 40;
}

static int do_group_get_info(void)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };

	return ioctl(group, VFIO_GROUP_GET_INFO, &info) ||
		!(info.flags & VFIO_GROUP_FLAGS_VIABLE);
}

static int do_device_get_region_info(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 7 };

	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) ||
		info.offset != 7ull << 40;
}

/* Those of VFIO come last: -s cuts them off. */
static struct kind {
	const char *name;
	int (*call)(void);
	int with_device; /* a device of the group is open meanwhile */
	double *means;
} kinds[] = {
	{ "getpid", do_getpid, 0, NULL },
	{ "nodata", do_nodata, 0, NULL },
	{ "retry8", do_retry8, 0, NULL },
	{ "retry32", do_retry32, 0, NULL },
	{ "group_get_info", do_group_get_info, 0, NULL },
	{ "group_get_info_in_use", do_group_get_info, 1, NULL },
	{ "device_get_region_info", do_device_get_region_info, 1, NULL },
};

#define VFIO_KINDS 3

#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *device_name = "0000:06:0d.0";

static double time_block(const struct kind *kind, int calls)
{
	double start, end;

	if (kind->with_device) {
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device_name);
		if (device < 0)
			die("device");
	}
	start = now_us();
	for (int i = 0; i < calls; i++)
		if (kind->call())
			die(kind->name);
	end = now_us();
	if (kind->with_device)
		close(device);
	return (end - start) / calls;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof(*values), compare);
	return count & 1 ? values[count / 2] :
		(values[count / 2 - 1] + values[count / 2]) / 2;
}

static int node(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		die(path);
	return fd;
}

static int number(const char *text)
{
	int value = atoi(text);

	if (value < 1) {
		fprintf(stderr, "%s: not a count\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	int blocks = 200, calls = 50, used = KINDS, option;

	while ((option = getopt(argc, argv, "b:n:s")) != -1) {
		if (option == 'b')
			blocks = number(optarg);
		else if (option == 'n')
			calls = number(optarg);
		else if (option == 's')
			used = KINDS - VFIO_KINDS;
		else
			return 2;
	}
	reference = node(REFERENCE_NODE);
	if (used == KINDS) {
		group = node(optind < argc ? argv[optind] :
					     "/dev/vfio/pci:240");
		if (optind + 1 < argc)
			device_name = argv[optind + 1];
	}
	for (int k = 0; k < used; k++) {
		kinds[k].means = calloc(blocks, sizeof(double));
		if (!kinds[k].means)
			die("memory");
		time_block(&kinds[k], calls);	/* warm up */
	}
	for (int block = 0; block < blocks; block++)
		for (int turn = 0; turn < used; turn++) {
			struct kind *kind = &kinds[(block + turn) % used];

			kind->means[block] = time_block(kind, calls);
		}
	printf("{");
	for (int k = 0; k < used; k++)
		printf("\"%s\":%.3f,", kinds[k].name,
		       median(kinds[k].means, blocks));
	printf("\"rounds\":%d}\n", blocks * calls);
	return 0;
}
