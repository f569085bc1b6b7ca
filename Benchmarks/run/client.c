/*
 * Prints the medians of the blocks' means, in microseconds: of
 * VFIO_DEVICE_GET_REGION_INFO, of a pread of 4 bytes of configuration space.
 *
 * client vfio|reference [CALLS]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/vfio.h>

#define BLOCKS 41

static int device;

static int ask(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 7 };

	return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size != 256;
}

static int load(void)
{
	uint32_t value = 0;

	return pread(device, &value, 4, 7ll << 40) != 4 || value != 0x11e81234;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(int (*call)(void), int calls)
{
	double means[BLOCKS];

	for (int b = 0; b < BLOCKS; b++) {
		double start = now();

		for (int i = 0; i < calls; i++)
			if (call()) {
				perror("call");
				exit(1);
			}
		means[b] = (now() - start) / calls;
	}
	qsort(means, BLOCKS, sizeof(means[0]), compare);
	return means[BLOCKS / 2];
}

int main(int argc, char **argv)
{
	int calls = argc > 2 ? atoi(argv[2]) : 200;

	if (argc > 1 && !strcmp(argv[1], "reference")) {
		device = open("/dev/null", O_RDWR);
	} else {
		int group = open("/dev/vfio/pci:240", O_RDWR);

		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	}
	if (device < 0) {
		perror("open");
		return 1;
	}
	printf("%.3f %.3f\n", median(ask, calls), median(load, calls));
	return 0;
}
