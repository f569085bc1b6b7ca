/*
 * A VFIO bus of its own, as a plug-in of vfio-cused: bus `loop` with the devices
 * loop0, loop1, ... in group 0. Each copies memory: write SOURCE, TARGET and
 * LENGTH, then START; interrupt 0 says when STATUS is no longer BUSY.
 *
 *   vfio-cused run --plugin build/libmybus.so -- ./client   # /dev/vfio/loop:0
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-cused/plugin.h>

#define DEVICE_RESET	0x3b72	/* VFIO_DEVICE_RESET of the draft ABI */

struct registers {
	uint64_t source, target;	/* 0x00, 0x08: I/O virtual addresses */
	uint32_t length;		/* 0x10: bytes, at most 4096 */
	uint32_t start;			/* 0x14: 1 starts a copy; reads as 0 */
	uint32_t status;		/* 0x18: one of these; read-only */
	uint32_t identity;		/* 0x1c: LOOP; read-only */
};
enum { IDLE, BUSY, DONE, FAULT };

struct loop {
	struct vfio_device dev;
	char name[32];
	pthread_mutex_t lock;
	struct registers registers;	/* while BUSY they stay as they are */
};

static void copy(void *arg)	/* from vfio_after: may wait, with no lock */
{
	struct loop *loop = arg;
	struct registers *r = &loop->registers;
	char data[4096];
	int good = r->length <= sizeof(data) &&
		!vfio_dma_read(&loop->dev, r->source, data, r->length) &&
		!vfio_dma_write(&loop->dev, r->target, data, r->length);

	pthread_mutex_lock(&loop->lock);
	r->status = good ? DONE : FAULT;
	pthread_mutex_unlock(&loop->lock);
	vfio_set_irq(&loop->dev, 0, 0, true);
}

/* How much of `count` bytes is inside the registers; -EINVAL for none. */
static ssize_t inside(size_t count, off_t pos)
{
	size_t size = sizeof(struct registers);

	if (VFIO_PLUGIN_REGION_INDEX(pos) || (size_t)pos >= size)
		return -EINVAL;
	return count < size - pos ? count : size - pos;
}

static ssize_t loop_read(void *device_data, void *buf, size_t count, off_t *ppos)
{
	struct loop *loop = device_data;
	ssize_t n = inside(count, *ppos);

	pthread_mutex_lock(&loop->lock);
	if (n > 0)
		memcpy(buf, (char *)&loop->registers + *ppos, n);
	pthread_mutex_unlock(&loop->lock);
	return n;
}

static ssize_t loop_write(void *device_data, const void *buf, size_t count,
			  off_t *ppos)
{
	struct loop *loop = device_data;
	ssize_t n = inside(count, *ppos);
	struct registers r;
	int starts = 0;

	pthread_mutex_lock(&loop->lock);
	r = loop->registers;
	if (n > 0 && r.status != BUSY) {
		memcpy((char *)&r + *ppos, buf, n);
		starts = r.start & 1;
		r.start = 0;
		r.status = starts ? BUSY : loop->registers.status;
		r.identity = loop->registers.identity;
		loop->registers = r;
	}
	pthread_mutex_unlock(&loop->lock);
	if (starts)
		vfio_after(&loop->dev, 0, copy, loop);
	return n;
}

static long loop_ioctl(void *device_data, unsigned int cmd, unsigned long arg)
{
	struct loop *loop = device_data;
	long result = 0;

	(void)arg;
	if (cmd != DEVICE_RESET)
		return -ENOTTY;	/* the daemon answers from struct vfio_device */
	pthread_mutex_lock(&loop->lock);
	if (loop->registers.status == BUSY)
		result = -EBUSY;
	else
		loop->registers = (struct registers){ .identity = 0x504f4f4c };
	pthread_mutex_unlock(&loop->lock);
	return result;
}

static const struct vfio_device_ops loop_ops = {
	.size = sizeof(loop_ops),
	.read = loop_read, .write = loop_write, .ioctl = loop_ioctl,
};

static int add(unsigned int number)
{
	static const struct vfio_device_region region = {
		.size = sizeof(struct registers),
	};
	static const struct vfio_device_irq irq = { .count = 1 };
	struct loop *loop = calloc(1, sizeof(*loop));
	int error;

	if (!loop)
		return -ENOMEM;
	snprintf(loop->name, sizeof(loop->name), "loop%u", number);
	pthread_mutex_init(&loop->lock, NULL);
	loop_ioctl(loop, DEVICE_RESET, 0);
	loop->dev = (struct vfio_device){
		.size = sizeof(loop->dev), .bus = "loop", .name = loop->name,
		.flags = VFIO_DEVICE_HAS_RESET,
		.num_regions = 1, .regions = &region,
		.num_irqs = 1, .irqs = &irq,
	};
	error = vfio_group_add_dev(&loop->dev, &loop_ops);
	return error ? error : vfio_bind_dev(&loop->dev, loop);
}

static int init(const struct vfio_plugin_parameter *parameters,
		size_t num_parameters)
{
	unsigned int devices = 1, i;
	int error = 0;

	for (i = 0; i < num_parameters; i++) {
		if (strcmp(parameters[i].name, "devices")) {
			vfio_log(VFIO_LOG_ERROR, "the only parameter is devices");
			return -EINVAL;
		}
		devices = strtoul(parameters[i].value, NULL, 10);
	}
	for (i = 0; i < devices && !error; i++)
		error = add(i);
	return error;
}

VFIO_PLUGIN("mybus", init);
