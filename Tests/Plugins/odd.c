/*
 * A bus whose driver does what it should not: bus `odd`. What is asked of it is
 * in the offset of a read or write and in the number of an ioctl; odd_client.c
 * knows what has to come of it. Its init checks the calls that need no client.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "odd.h"
#include <vfio-cused/plugin.h>

static struct vfio_device main_dev, late_dev, tainting_dev, leaving_dev;
static int claimed, leave_result;
static pthread_t leaver;

#define EXPECT(call, want) do { \
	long got_ = (long)(call); \
	if (got_ != (long)(want)) { \
		char text_[200]; \
		snprintf(text_, sizeof(text_), "line %d: %s gave %ld, not %ld", \
			 __LINE__, #call, got_, (long)(want)); \
		vfio_log(VFIO_LOG_ERROR, text_); \
		return -EPROTO; \
	} \
} while (0)

static int odd_open(void *data)
{
	const char *name = data;

	if (!strcmp(name, "odd-positive"))
		return 5;
	if (!strcmp(name, "odd-no-errno"))
		return -100000;
	if (!strcmp(name, "odd-busy"))
		return -EBUSY;
	return 0;
}

static ssize_t result_of(off_t at, size_t count)
{
	switch (at) {
	case ODD_ONE_MORE: return count + 1;
	case ODD_MOST: return LONG_MAX;
	case ODD_LEAST: return LONG_MIN;
	case ODD_NO_ERRNO: return -134;
	case ODD_EAGAIN: return -EAGAIN;
	default: return count;
	}
}

static ssize_t odd_read(void *data, void *buf, size_t count, off_t *ppos)
{
	off_t at = *ppos;

	(void)data;
	if (at == ODD_FILLS)
		memset(buf, 0x5a, count);
	*ppos = -1;	/* has no effect */
	return result_of(at, count);
}

static ssize_t odd_write(void *data, const void *buf, size_t count, off_t *ppos)
{
	(void)data;
	(void)buf;
	return result_of(*ppos, count);
}

static void *copy_elsewhere(void *arg)
{
	char byte;

	*(int *)arg = copy_from_user(&byte, 0x1000, 1);
	return NULL;
}

static void *leave(void *arg)
{
	(void)arg;
	/* waits until the client has closed everything */
	leave_result = vfio_unbind_dev(&leaving_dev) == leaving_dev.driver_data;
	return NULL;
}

static int claim_binds(struct vfio_device *dev)
{
	/* dev is the daemon's copy, and what it points to as well */
	__atomic_add_fetch(&claimed, 1, __ATOMIC_RELAXED);
	return vfio_bind_dev(dev, dev->driver_data);
}

static int claim_lies(struct vfio_device *dev)
{
	(void)dev;
	return 0;
}

static const struct vfio_device_ops binding_ops = {
	.size = sizeof(binding_ops), .claim = claim_binds,
};
static const struct vfio_device_ops lying_ops = {
	.size = sizeof(lying_ops), .claim = claim_lies,
};
/* As from a header that knew no more than match. */
static const struct vfio_device_ops short_ops = { .size = 16 };

static struct vfio_device device(const char *name, unsigned int group)
{
	return (struct vfio_device){
		.size = sizeof(struct vfio_device), .bus = "odd", .name = name,
		.group = group, .driver_data = (void *)name,
	};
}

static pthread_t churner;
static int churn_failed, churn_ends;

static ssize_t churn_read(void *data, void *buf, size_t count, off_t *ppos)
{
	(void)ppos;
	memset(buf, *(const char *)data, count);
	return count;
}

static const struct vfio_device_ops churn_ops = {
	.size = sizeof(churn_ops), .claim = claim_binds, .read = churn_read,
};

/* Adds and takes away a device, whose memory it gives back at once. */
static void *churn(void *arg)
{
	int rounds = 20000;

	(void)arg;
	while (rounds-- && !__atomic_load_n(&churn_ends, __ATOMIC_RELAXED)) {
		struct vfio_device *dev = malloc(sizeof(*dev));
		int result;

		*dev = device("odd-churn", 2);
		result = vfio_group_add_dev(dev, &churn_ops);
		/* claimed already where the group is in use */
		if (!result)
			result = vfio_bind_dev(dev, dev->driver_data);
		usleep(1000);
		if (!result || result == -EBUSY)
			result = vfio_group_del_dev(dev);
		if (result || !vfio_unbind_dev(dev))
			churn_failed++;
		memset(dev, 0xff, sizeof(*dev));
		free(dev);
	}
	return NULL;
}

static long odd_ioctl(void *data, unsigned int cmd, unsigned long arg)
{
	struct { uint64_t value; } argument;
	pthread_t thread;
	int result;

	(void)data;
	switch (cmd) {
	case ODD_RETURN_MORE: return 1L << 31;
	case ODD_RETURN_LEAST: return LONG_MIN;
	case ODD_RETURN_NO_ERRNO: return -134;
	case ODD_RETURN_42: return 42;
	case ODD_COPY:	/* the client's number, doubled */
		result = copy_from_user(&argument, arg, sizeof(argument));
		if (result)
			return result;
		argument.value *= 2;
		return copy_to_user(arg, &argument, sizeof(argument));
	case ODD_COPY_NOTHING:
		return copy_from_user(NULL, arg, 8) == -EINVAL &&
			copy_from_user(NULL, arg, 0) == 0 &&
			copy_from_user(&argument, arg, 1UL << 40) == -EINVAL;
	case ODD_COPY_ELSEWHERE:
		if (pthread_create(&thread, NULL, copy_elsewhere, &result))
			return -ENOMEM;
		pthread_join(thread, NULL);
		return result == -EINVAL;
	case ODD_WAIT_IN_CALLBACK:
		errno = 0;
		return vfio_dma_read(&main_dev, 0, &argument, 8) == -EDEADLK &&
			vfio_dma_write(&main_dev, 0, &argument, 8) == -EDEADLK &&
			!vfio_unbind_dev(&main_dev) && errno == EDEADLK;
	case ODD_HOT_ADD:
		late_dev = device("odd-late", 0);
		result = vfio_group_add_dev(&late_dev, &binding_ops);
		return result ? result : claimed;
	case ODD_HOT_ADD_UNCLAIMED:
		tainting_dev = device("odd-tainting", 0);
		return vfio_group_add_dev(&tainting_dev, &lying_ops);
	case ODD_DELETE_UNCLAIMED:
		return vfio_group_del_dev(&tainting_dev);
	case ODD_LEAVE:
		result = vfio_group_del_dev(&leaving_dev);
		if (result)
			return result;
		return -pthread_create(&leaver, NULL, leave, NULL);
	case ODD_LEFT:
		pthread_join(leaver, NULL);
		return leave_result && vfio_group_del_dev(&leaving_dev) == -ENODEV
			&& vfio_set_irq(&leaving_dev, 0, 0, true) == -ENODEV;
	case ODD_CHURN:
		return -pthread_create(&churner, NULL, churn, NULL);
	case ODD_CHURNED:
		__atomic_store_n(&churn_ends, 1, __ATOMIC_RELAXED);
		pthread_join(churner, NULL);
		return churn_failed;
	default: return -ENOTTY;
	}
}

static const struct vfio_device_ops odd_ops = {
	.size = sizeof(odd_ops),
	.open = odd_open, .read = odd_read, .write = odd_write, .ioctl = odd_ioctl,
};

static int add(struct vfio_device *dev, const struct vfio_device_ops *ops)
{
	int error = vfio_group_add_dev(dev, ops);

	return error ? error : vfio_bind_dev(dev, (void *)dev->name);
}

/* What is refused, and what a plug-in keeps after it deleted a device. */
static int check_calls(void)
{
	static const struct vfio_device_irq irqs[2] = {
		{ .count = 2 }, { .count = 1, .flags = VFIO_DEVICE_IRQ_LEVEL },
	};
	static const struct vfio_device_irq bad_irq = {
		.count = 2, .flags = VFIO_DEVICE_IRQ_LEVEL,
	};
	static const struct vfio_device_region bad_region = { .size = 1ULL << 41 };
	static const struct vfio_model_ops no_ops = { .size = sizeof(no_ops) };
	static const struct vfio_pci_model no_model = {
		.size = sizeof(no_model), .name = "none", .ops = &no_ops,
	};
	char newer[sizeof(struct vfio_device_ops) + 64] = { 0 };
	struct vfio_device dev = device("gone", 9), other;
	char byte;

	EXPECT(vfio_group_add_dev(NULL, &odd_ops), -EINVAL);
	EXPECT(vfio_group_add_dev(&dev, NULL), -EINVAL);
	EXPECT(vfio_group_del_dev(NULL), -EINVAL);
	EXPECT(vfio_group_del_dev(&dev), -ENODEV);
	EXPECT(vfio_bind_dev(&dev, &dev), -ENODEV);
	errno = 0;
	EXPECT(vfio_unbind_dev(&dev) == NULL && errno == ENODEV, 1);
	EXPECT(vfio_dma_read(&dev, 0, &byte, 1), -ENODEV);
	EXPECT(vfio_set_irq(&dev, 0, 0, true), -ENODEV);
	EXPECT(vfio_after(&dev, 0, NULL, NULL), -EINVAL);
	EXPECT(copy_from_user(&byte, 0x1000, 1), -EINVAL);
	EXPECT(copy_to_user(0x1000, &byte, 1), -EINVAL);
	EXPECT(vfio_register_pci(NULL), -EINVAL);
	EXPECT(vfio_register_pci(&no_model), -EINVAL);
	vfio_log(VFIO_LOG_ERROR, NULL);
	vfio_log((enum vfio_log_level)77, "no level");

	/* names */
	other = device("x", 9), other.bus = "pci";
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other.bus = "platform";
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other.bus = "../x";
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other.bus = NULL;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other.bus = "";
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("..", 9);
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("a/b", 9);
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("\xff", 9);
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);

	/* sizes and counts */
	other = device("x", 9), other.size = 8;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("x", 9), other.num_regions = 1;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other.regions = &bad_region;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("x", 9), other.num_irqs = 0xffffffff, other.irqs = irqs;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);
	other = device("x", 9), other.num_irqs = 1, other.irqs = &bad_irq;
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EINVAL);

	/* a device's life */
	dev.num_irqs = 2, dev.irqs = irqs;
	EXPECT(vfio_group_add_dev(&dev, &short_ops), 0);
	EXPECT(vfio_group_add_dev(&dev, &short_ops), -EEXIST);
	other = device("gone", 10);
	EXPECT(vfio_group_add_dev(&other, &odd_ops), -EEXIST);
	EXPECT(vfio_bind_dev(&dev, NULL), -EINVAL);
	errno = 0;
	EXPECT(vfio_unbind_dev(&dev) == NULL && errno == EINVAL, 1);
	EXPECT(vfio_bind_dev(&dev, &dev), 0);
	EXPECT(vfio_bind_dev(&dev, &dev), -EBUSY);
	EXPECT(vfio_set_irq(&dev, 0, 1, true), 0);
	EXPECT(vfio_set_irq(&dev, 0, 2, true), -EINVAL);
	EXPECT(vfio_set_irq(&dev, 2, 0, true), -EINVAL);
	EXPECT(vfio_set_irq(&dev, 0xffffffff, 0xffffffff, true), -EINVAL);
	EXPECT(vfio_dma_read(&dev, 0, &byte, 1), -EFAULT);
	EXPECT(vfio_dma_read(&dev, 0, NULL, 1), -EINVAL);
	EXPECT(vfio_dma_write(&dev, 0, &byte, (size_t)-1), -EINVAL);
	EXPECT(vfio_unbind_dev(&dev) == (void *)&dev, 1);
	EXPECT(vfio_bind_dev(&dev, &dev), 0);
	EXPECT(vfio_group_del_dev(&dev), 0);
	EXPECT(vfio_group_del_dev(&dev), -ENODEV);
	EXPECT(vfio_unbind_dev(&dev) == (void *)&dev, 1);
	EXPECT(vfio_bind_dev(&dev, &dev), -ENODEV);
	EXPECT(vfio_group_del_dev(&dev), -ENODEV);

	/* built with a later header */
	memcpy(newer, &odd_ops, sizeof(odd_ops));
	((struct vfio_device_ops *)newer)->size = sizeof(newer);
	EXPECT(vfio_group_add_dev(&dev, (struct vfio_device_ops *)newer), 0);
	EXPECT(vfio_group_del_dev(&dev), 0);
	return 0;
}

static int init(const struct vfio_plugin_parameter *parameters,
		size_t num_parameters)
{
	static const char *const names[] = {
		"odd-positive", "odd-no-errno", "odd-busy",
	};
	static struct vfio_device devices[3], bare, stays;
	unsigned int i;
	int error = check_calls();

	(void)parameters;
	(void)num_parameters;
	main_dev = device("odd", 0);
	leaving_dev = device("odd-leaving", 1);
	error = error ? error : add(&main_dev, &odd_ops);
	error = error ? error : add(&leaving_dev, &binding_ops);
	for (i = 0; i < 3 && !error; i++) {
		devices[i] = device(names[i], 0);
		error = add(&devices[i], &odd_ops);
	}
	/* keeps the group that others come into and leave */
	stays = device("odd-stays", 2);
	error = error ? error : add(&stays, &binding_ops);
	bare = device("odd-bare", 0);
	return error ? error : add(&bare, &short_ops);
}

VFIO_PLUGIN("odd", init);
