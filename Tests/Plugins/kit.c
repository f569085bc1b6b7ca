/*
 * One device model for both of the daemon's buses: `kit-pci` and `kit-platform`.
 * Parameter `bare: 1` registers models of which nothing can be made, `flat: 1`
 * ones without RAM on PCI, so that their registers can be mapped.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include <vfio-cused/plugin.h>

struct kit {
	struct vfio_device *dev;
	pthread_mutex_t lock;
	uint32_t scratch, resets, masters, iova;
};

static void *create(struct vfio_device *dev)
{
	struct kit *kit = calloc(1, sizeof(*kit));

	if (kit) {
		kit->dev = dev;
		pthread_mutex_init(&kit->lock, NULL);
	}
	return kit;
}

static void *create_nothing(struct vfio_device *dev)
{
	(void)dev;
	return NULL;
}

static uint64_t kit_read(void *model, uint32_t region, uint64_t offset,
			 uint32_t width)
{
	struct kit *kit = model;
	uint64_t value = ~0ULL;

	pthread_mutex_lock(&kit->lock);
	switch (offset) {
	case KIT_SCRATCH: value = kit->scratch | 0xdeadULL << 32; break;
	case KIT_RESETS: value = kit->resets; break;
	case KIT_MASTERS: value = kit->masters; break;
	case KIT_RAM:
		if (vfio_memory_read(kit->dev, KIT_RAM_REGION, 8, &value, 8))
			value = 0xbad;
		break;
	case KIT_ACCESS: value = region << 8 | width; break;
	}
	pthread_mutex_unlock(&kit->lock);
	return value;
}

static void transfer(void *arg)
{
	struct kit *kit = arg;
	uint32_t value = 0;

	/* adds one to the word in memory */
	if (vfio_dma_read(kit->dev, kit->iova, &value, 4))
		value = 0xbad;
	value++;
	vfio_dma_write(kit->dev, kit->iova, &value, 4);
	vfio_set_irq(kit->dev, 0, 0, true);
}

static void kit_write(void *model, uint32_t region, uint64_t offset,
		      uint32_t width, uint64_t value)
{
	struct kit *kit = model;

	(void)region;
	(void)width;
	switch (offset) {
	case KIT_SCRATCH:
		pthread_mutex_lock(&kit->lock);
		kit->scratch = value;
		pthread_mutex_unlock(&kit->lock);
		break;
	case KIT_LINE: vfio_set_irq(kit->dev, 0, 0, value & 1); break;
	case KIT_MESSAGE: vfio_set_irq(kit->dev, 1, value, true); break;
	case KIT_TRANSFER:
		kit->iova = value;
		vfio_after(kit->dev, 1000000, transfer, kit);
		break;
	case KIT_RAM:
		if (vfio_memory_write(kit->dev, KIT_RAM_REGION, 0, &value, 8) ||
		    vfio_memory_write(kit->dev, KIT_RAM_REGION, 4092, &value,
				      8) != -EINVAL ||
		    vfio_memory_write(kit->dev, KIT_RAM_REGION, ~0ULL, &value,
				      8) != -EINVAL ||
		    vfio_memory_write(kit->dev, 0, 0, &value, 8) != -EINVAL)
			vfio_set_irq(kit->dev, 0, 0, true);
		break;
	case KIT_WAIT:	/* must not be possible here */
		kit->scratch = vfio_dma_read(kit->dev, 0, &width, 4);
		break;
	}
}

static void kit_reset(void *model)
{
	struct kit *kit = model;

	pthread_mutex_lock(&kit->lock);
	kit->scratch = 0;
	kit->resets++;
	pthread_mutex_unlock(&kit->lock);
	vfio_set_irq(kit->dev, 0, 0, false);
}

static void kit_bus_master(void *model, bool enabled)
{
	struct kit *kit = model;

	pthread_mutex_lock(&kit->lock);
	kit->masters += enabled ? 0x10000 : 1;
	pthread_mutex_unlock(&kit->lock);
}

static const struct vfio_model_ops ops = {
	.size = sizeof(ops), .create = create, .destroy = free,
	.read = kit_read, .write = kit_write, .reset = kit_reset,
	.bus_master = kit_bus_master,
};

static const struct vfio_model_ops bare_ops = {
	.size = sizeof(bare_ops), .create = create_nothing,
	.read = kit_read, .write = kit_write,
};

static int init(const struct vfio_plugin_parameter *parameters,
		size_t num_parameters)
{
	bool bare = num_parameters && !strcmp(parameters[0].name, "bare");
	bool flat = num_parameters && !strcmp(parameters[0].name, "flat");
	struct vfio_device_region regions[KIT_RAM_REGION + 1] = {
		[0] = { .size = 4096 },
		[KIT_RAM_REGION] = {
			.size = 4096, .flags = VFIO_DEVICE_REGION_RAM,
		},
	};
	struct vfio_device_irq irqs[2] = {
		{ .count = 1, .flags = VFIO_DEVICE_IRQ_LEVEL }, { .count = 1 },
	};
	struct vfio_pci_model pci = {
		.size = sizeof(pci), .name = "kit-pci",
		.flags = VFIO_MODEL_HAS_RESET,
		.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000,
		.interrupt_pin = 1, .msi_vectors = 2,
		.bars = {
			[0] = { .size = 4096 },
			[KIT_RAM_REGION] = {
				.size = flat ? 0 : 4096, .flags = VFIO_PCI_BAR_RAM,
			},
		},
		.ops = bare ? &bare_ops : &ops,
	};
	struct vfio_platform_model platform = {
		.size = sizeof(platform), .name = "kit-platform",
		.flags = VFIO_MODEL_HAS_RESET,
		.num_regions = 3, .regions = regions, .num_irqs = 2, .irqs = irqs,
		.ops = bare ? &bare_ops : &ops,
	};
	int error = vfio_register_pci(&pci);

	if (error)
		return error;
	if (vfio_register_pci(&pci) != -EEXIST)
		return -EPROTO;
	return vfio_register_platform(&platform);
}

VFIO_PLUGIN("kit", init);
