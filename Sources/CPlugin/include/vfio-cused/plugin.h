/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plug-ins of vfio-cused: VFIO bus drivers and device models in C.
 *
 * A plug-in is a shared object that says VFIO_PLUGIN(name, init) once. It needs
 * this header and nothing else: it links with no library of ours. Build it with
 * cc -shared -fPIC; other than the one symbol nothing of it needs to be visible.
 *
 *   VFIO bus driver   adds devices of a bus of its own (vfio_group_add_dev) and
 *                     serves them by struct vfio_device_ops, the one of the VFIO
 *                     document of 2011
 *   device model      registers what stands behind the registers of a device on
 *                     the daemon's own PCI or platform bus (vfio_register_*); a
 *                     topology file names it as `model`
 *
 * Rules
 * -----
 * Threads     Every callback may come on any thread, and several at the same
 *             time, for one device too: guard your state. init comes once,
 *             before any other. The calls may be made from any thread, also
 *             from inside a callback, but for those that wait (below). The
 *             daemon holds no lock of its own across a callback, so that a call
 *             may lead to another callback before it returns.
 * Waiting     A callback must return soon: a client's system call waits for it.
 *             Work that takes time goes to vfio_after. vfio_dma_read,
 *             vfio_dma_write and vfio_unbind_dev wait, for the client's memory
 *             or for the client itself: call them from vfio_after or a thread of
 *             your own. In a callback they fail with EDEADLK.
 * Lifetime    The daemon copies each struct it is given, with the arrays and
 *             texts that the struct points to. A struct vfio_device that was
 *             added is a name of the device from then on: the daemon does not
 *             read through the pointer again. Callbacks get the daemon's copy,
 *             which is a name of the device as well and valid until they return.
 *             Calls on a device that is not there any more fail with -ENODEV.
 *             Device data is the plug-in's; no callback gets it after
 *             vfio_unbind_dev gave it back. A plug-in is never unloaded.
 * Numbers     Calls and callbacks that return int, long or ssize_t return a
 *             negative errno for failure, -1 to -133. What a callback returns
 *             beside what is allowed here is logged, and the client has EIO.
 * Versions    VFIO_PLUGIN_ABI changes when what is here changes meaning; another
 *             one is refused. What is added goes to the end of a struct. Every
 *             struct says its size first: a plug-in that was built with a
 *             smaller or larger one works, and what either side does not know
 *             counts as zero. Before a call that is newer than the oldest
 *             daemon you want to run in, ask VFIO_HOST_HAS(call).
 */
#ifndef VFIO_CUSED_PLUGIN_H
#define VFIO_CUSED_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VFIO_PLUGIN_ABI 1

/* Where region `index` starts on a device descriptor, and back. */
#define VFIO_PLUGIN_REGION_OFFSET(index) ((uint64_t)(index) << 40)
#define VFIO_PLUGIN_REGION_INDEX(offset) ((uint32_t)((uint64_t)(offset) >> 40))
#define VFIO_PLUGIN_REGION_POS(offset) ((uint64_t)(offset) & 0xffffffffffULL)

struct vfio_device_region {
	uint64_t size;		/* bytes, at most 2^40; 0: not there */
	uint32_t flags;
	/*
	 * Plain memory, which the daemon keeps: no callback sees an access, and
	 * clients can map it where it is whole pages and not read-only.
	 * vfio_memory_read and _write reach it.
	 */
#define VFIO_DEVICE_REGION_RAM		(1u << 0)
#define VFIO_DEVICE_REGION_READ_ONLY	(1u << 1)
	uint32_t reserved;
};

struct vfio_device_irq {
	uint32_t count;		/* at most 2048; 0: not there */
	uint32_t flags;
#define VFIO_DEVICE_IRQ_LEVEL		(1u << 0)	/* count is 1 */
};

/*
 * A device: the document's struct device. A bus driver fills it in and adds it;
 * a device model gets one, to make calls with.
 *
 * Where regions or irqs are given, the daemon answers the draft ABI's device
 * ioctls that ops->ioctl does not (returns -ENOTTY for): GET_INFO,
 * GET_REGION_INFO, GET_IRQ_INFO, SET_IRQ_EVENTFDS, UNMASK_IRQ and
 * SET_UNMASK_IRQ_EVENTFDS. RESET is the bus driver's alone.
 */
struct vfio_device {
	uint32_t size;		/* sizeof(struct vfio_device) */
	uint32_t group;		/* the IOMMU group, counted within the bus */
	const char *bus;	/* a-z 0-9 - _, at most 32; not pci, not platform */
	const char *name;	/* unique on the bus; printable, no '/', at most 64 */
	uint32_t flags;
#define VFIO_DEVICE_HAS_RESET		(1u << 0)	/* ops->ioctl does RESET */
	uint32_t num_regions;	/* at most 64 */
	const struct vfio_device_region *regions;
	const struct vfio_device_irq *irqs;
	uint32_t num_irqs;	/* at most 64 */
	uint32_t reserved;
	void *driver_data;	/* yours */
};

/* A part of a device descriptor that a client wants to map, MAP_SHARED. */
struct vfio_vma {
	uint32_t size;		/* of the daemon's struct vfio_vma */
	uint32_t reserved;
	uint64_t offset;	/* on the descriptor: region index << 40 | byte */
	uint64_t length;	/* bytes */
};

/*
 * The document's struct vfio_device_ops. All may be NULL; what then happens is
 * said last. device_data is what vfio_bind_dev was given.
 */
struct vfio_device_ops {
	uint32_t size;		/* sizeof(struct vfio_device_ops) */
	uint32_t reserved;
	/* Whether buf, a client's text, names dev. NULL: equals dev->name. */
	bool (*match)(struct vfio_device *dev, const char *buf);
	/*
	 * dev came into a group in use: call vfio_bind_dev, return 0. NULL, for
	 * buses without hot-plug: -EOPNOTSUPP.
	 */
	int (*claim)(struct vfio_device *dev);
	/* 0, or why the client cannot have the descriptor. NULL: 0. */
	int (*open)(void *device_data);
	/* Once for each open that gave 0. */
	void (*release)(void *device_data);
	/*
	 * At most count bytes at *ppos of the descriptor; how many. buf is not
	 * the client's memory; it holds zeros, and goes to the client afterwards.
	 * What is done to *ppos has no effect. NULL: -EINVAL.
	 */
	ssize_t (*read)(void *device_data, void *buf, size_t count,
			off_t *ppos);
	ssize_t (*write)(void *device_data, const void *buf, size_t count,
			 off_t *ppos);
	/*
	 * 0 to 2^31-1, what the client's ioctl gives; -ENOTTY for a cmd that it
	 * does not know. arg is untrusted: copy_from_user and copy_to_user reach
	 * what it points to. NULL: -ENOTTY.
	 */
	long (*ioctl)(void *device_data, unsigned int cmd, unsigned long arg);
	/*
	 * Whether a client may map this, which is all inside a region of RAM:
	 * 0 or why not. What is anywhere else is refused before. NULL: 0.
	 */
	int (*mmap)(void *device_data, struct vfio_vma *vma);
};

/*
 * What is behind the registers of a device on the daemon's PCI or platform bus.
 * read and write are required. They come with width 1, 2 or 4, offset a multiple
 * of it and inside the region (a BAR's number on PCI).
 */
struct vfio_model_ops {
	uint32_t size;		/* sizeof(struct vfio_model_ops) */
	uint32_t reserved;
	/*
	 * A device of the kind comes into being: what the others get as model.
	 * dev, to make calls with, is the daemon's and valid until destroy
	 * returned. NULL: the device is
	 * there, but its registers read as all ones and take no writes.
	 */
	void *(*create)(struct vfio_device *dev);
	/* The last call of all on it, after all work of after(dev, …) has run. */
	void (*destroy)(void *model);
	uint64_t (*read)(void *model, uint32_t region, uint64_t offset,
			 uint32_t width);
	void (*write)(void *model, uint32_t region, uint64_t offset,
		      uint32_t width, uint64_t value);
	/*
	 * Every register back to its power-on value, interrupts low, what runs
	 * stopped.
	 */
	void (*reset)(void *model);
	/*
	 * PCI: bus mastering was turned on or off. Platform: false when the last
	 * user closed the device. What is under way may not reach memory later.
	 */
	void (*bus_master)(void *model, bool enabled);
};

struct vfio_pci_bar {
	uint64_t size;		/* bytes, a power of two; 0: not there */
	uint32_t flags;
#define VFIO_PCI_BAR_IO			(1u << 0)
#define VFIO_PCI_BAR_64BIT		(1u << 1)	/* takes the next one too */
#define VFIO_PCI_BAR_PREFETCHABLE	(1u << 2)
#define VFIO_PCI_BAR_RAM		(1u << 3)	/* VFIO_DEVICE_REGION_RAM */
	uint32_t reserved;
};

/* A kind of PCI function. */
struct vfio_pci_model {
	uint32_t size;		/* sizeof(struct vfio_pci_model) */
	uint32_t flags;
#define VFIO_MODEL_HAS_RESET		(1u << 0)
	const char *name;	/* `model` in a topology: a-z 0-9 - _, at most 32 */
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	uint32_t class_code;	/* 0xccssii */
	uint8_t revision;
	uint8_t interrupt_pin;	/* 0: none, 1 to 4: INTA to INTD */
	uint8_t msi_vectors;	/* 0: no MSI, else 1, 2, 4, 8, 16 or 32 */
	uint8_t reserved;
	/* 0: no MSI-X, else up to 2048; the table and the pending bits are ours */
	uint16_t msix_vectors;
	uint8_t msix_table_bar, msix_pending_bar;
	uint32_t msix_table_offset, msix_pending_offset;	/* multiples of 8 */
	uint32_t reserved2;
	struct vfio_pci_bar bars[6];
	const struct vfio_model_ops *ops;
};

/* A kind of platform device. */
struct vfio_platform_model {
	uint32_t size;		/* sizeof(struct vfio_platform_model) */
	uint32_t flags;		/* VFIO_MODEL_HAS_RESET */
	const char *name;	/* as of struct vfio_pci_model */
	uint32_t num_regions;	/* at most 64 */
	uint32_t num_irqs;	/* at most 64, of count 1 each */
	const struct vfio_device_region *regions;
	const struct vfio_device_irq *irqs;
	const struct vfio_model_ops *ops;
};

enum vfio_log_level {
	VFIO_LOG_ERROR,
	VFIO_LOG_WARNING,
	VFIO_LOG_NOTICE,
	VFIO_LOG_DEBUG,
};

/*
 * The daemon's side: what a plug-in may call, through the functions further down.
 * It lives as long as the daemon.
 */
struct vfio_host {
	uint32_t size;		/* of the daemon's struct vfio_host */
	uint32_t abi;		/* VFIO_PLUGIN_ABI of the daemon */
	const void *daemon;	/* the daemon's own */
	int (*group_add_dev)(const struct vfio_host *, struct vfio_device *,
			     const struct vfio_device_ops *);
	int (*group_del_dev)(const struct vfio_host *, struct vfio_device *);
	int (*bind_dev)(const struct vfio_host *, struct vfio_device *, void *);
	void *(*unbind_dev)(const struct vfio_host *, struct vfio_device *);
	int (*copy_from_user)(const struct vfio_host *, void *, unsigned long,
			      size_t);
	int (*copy_to_user)(const struct vfio_host *, unsigned long,
			    const void *, size_t);
	int (*dma_read)(const struct vfio_host *, struct vfio_device *, uint64_t,
			void *, size_t);
	int (*dma_write)(const struct vfio_host *, struct vfio_device *,
			 uint64_t, const void *, size_t);
	int (*memory_read)(const struct vfio_host *, struct vfio_device *,
			   uint32_t, uint64_t, void *, size_t);
	int (*memory_write)(const struct vfio_host *, struct vfio_device *,
			    uint32_t, uint64_t, const void *, size_t);
	int (*set_irq)(const struct vfio_host *, struct vfio_device *, uint32_t,
		       uint32_t, bool);
	int (*after)(const struct vfio_host *, struct vfio_device *, uint64_t,
		     void (*)(void *), void *);
	void (*log)(const struct vfio_host *, uint32_t, const char *);
	int (*register_pci)(const struct vfio_host *,
			    const struct vfio_pci_model *);
	int (*register_platform)(const struct vfio_host *,
				 const struct vfio_platform_model *);
};

#define VFIO_HOST_HAS(call) \
	(vfio_host->size >= offsetof(struct vfio_host, call) + \
			    sizeof(vfio_host->call))

/* One of the plug-in's `parameters` in a topology file, in no order. */
struct vfio_plugin_parameter {
	const char *name;
	const char *value;
};

/* What VFIO_PLUGIN makes, and the daemon looks for: vfio_cused_plugin. */
struct vfio_plugin {
	uint32_t abi;		/* VFIO_PLUGIN_ABI; the two stay where they are */
	uint32_t size;		/* sizeof(struct vfio_plugin) */
	const char *name;	/* for messages */
	int (*init)(const struct vfio_host *,
		    const struct vfio_plugin_parameter *, size_t);
};

/*
 * Once in a plug-in, in one of its files, with
 *
 *   static int plugin_init(const struct vfio_plugin_parameter *parameters,
 *                          size_t num_parameters);
 *
 * which adds the devices and registers the models, and gives 0, or why the
 * daemon cannot start. The parameters are valid until it returns.
 */
#define VFIO_PLUGIN(plugin_name, plugin_init) \
	const struct vfio_host *vfio_host; \
	static int vfio_plugin_start_(const struct vfio_host *host, \
			const struct vfio_plugin_parameter *parameters, \
			size_t num_parameters) \
	{ \
		vfio_host = host; \
		return plugin_init(parameters, num_parameters); \
	} \
	__attribute__((visibility("default"))) \
	extern const struct vfio_plugin vfio_cused_plugin; \
	const struct vfio_plugin vfio_cused_plugin = { \
		VFIO_PLUGIN_ABI, sizeof(struct vfio_plugin), plugin_name, \
		vfio_plugin_start_, \
	}

/* Set before init. */
__attribute__((visibility("hidden")))
extern const struct vfio_host *vfio_host;

/*
 * The calls. -EINVAL: an argument is NULL or out of its range. -ENODEV: there is
 * no such device (any more).
 */

/*
 * Adds a device to its group, which comes into being with its first. ops->claim
 * is called before it returns where the group is in use. -EEXIST: the bus has a
 * device of that name, or dev is added already.
 */
static inline int vfio_group_add_dev(struct vfio_device *dev,
				     const struct vfio_device_ops *ops)
{
	return vfio_host->group_add_dev(vfio_host, dev, ops);
}

/* Takes it out again; a bound one goes when it is unbound. */
static inline int vfio_group_del_dev(struct vfio_device *dev)
{
	return vfio_host->group_del_dev(vfio_host, dev);
}

/*
 * Marks it as controlled by VFIO: a group is viable when all of its devices are.
 * device_data is not NULL. -EBUSY: it is bound.
 */
static inline int vfio_bind_dev(struct vfio_device *dev, void *device_data)
{
	return vfio_host->bind_dev(vfio_host, dev, device_data);
}

/*
 * Gives the device data back, after which no callback gets it any more. Blocks
 * while the group is in use. NULL with errno EDEADLK in a callback, ENODEV,
 * EINVAL when it is not bound, EBUSY when another thread is unbinding it.
 */
static inline void *vfio_unbind_dev(struct vfio_device *dev)
{
	return vfio_host->unbind_dev(vfio_host, dev);
}

/*
 * The memory of the client whose ioctl this thread is serving; -EINVAL anywhere
 * else. -EFAULT: not all of it is there; copy_to_user may have written a part.
 */
static inline int copy_from_user(void *to, unsigned long from, size_t n)
{
	return vfio_host->copy_from_user(vfio_host, to, from, n);
}

static inline int copy_to_user(unsigned long to, const void *from, size_t n)
{
	return vfio_host->copy_to_user(vfio_host, to, from, n);
}

/*
 * The device's DMA, by I/O virtual address, at most 1 GiB. -EFAULT: the IOMMU
 * let only a part through, or none; what was not read is zeros. -EDEADLK in a
 * callback.
 */
static inline int vfio_dma_read(struct vfio_device *dev, uint64_t iova,
				void *to, size_t n)
{
	return vfio_host->dma_read(vfio_host, dev, iova, to, n);
}

static inline int vfio_dma_write(struct vfio_device *dev, uint64_t iova,
				 const void *from, size_t n)
{
	return vfio_host->dma_write(vfio_host, dev, iova, from, n);
}

/*
 * The memory of a region that is RAM, which clients may change at any time. An
 * aligned word of 4 or 8 bytes moves as one. -EINVAL: not all of it is inside.
 */
static inline int vfio_memory_read(struct vfio_device *dev, uint32_t region,
				   uint64_t offset, void *to, size_t n)
{
	return vfio_host->memory_read(vfio_host, dev, region, offset, to, n);
}

static inline int vfio_memory_write(struct vfio_device *dev, uint32_t region,
				    uint64_t offset, const void *from, size_t n)
{
	return vfio_host->memory_write(vfio_host, dev, region, offset, from, n);
}

/*
 * Drives an interrupt. A level-triggered one stays high or low; one by edge
 * fires when high is true, and is lost where no client waits for it. On PCI,
 * index 0 is INTx, a level, and 1 and 2 are MSI and MSI-X, whichever software
 * has enabled, with the vector as subindex.
 */
static inline int vfio_set_irq(struct vfio_device *dev, uint32_t index,
			       uint32_t subindex, bool high)
{
	return vfio_host->set_irq(vfio_host, dev, index, subindex, high);
}

/*
 * Runs work(arg) once, on a thread where it may wait, no earlier than delay_ns
 * from now. It runs in any case, also when dev has gone meanwhile; but a model
 * is not destroyed before. dev may be NULL.
 */
static inline int vfio_after(struct vfio_device *dev, uint64_t delay_ns,
			     void (*work)(void *arg), void *arg)
{
	return vfio_host->after(vfio_host, dev, delay_ns, work, arg);
}

/*
 * One sentence without a full stop, for the daemon's log. The last error of init
 * is what the user is told when init fails.
 */
static inline void vfio_log(enum vfio_log_level level, const char *sentence)
{
	vfio_host->log(vfio_host, level, sentence);
}

/* In init only, -EBUSY later. -EEXIST: there is a model of that name. */
static inline int vfio_register_pci(const struct vfio_pci_model *model)
{
	return vfio_host->register_pci(vfio_host, model);
}

static inline int vfio_register_platform(const struct vfio_platform_model *model)
{
	return vfio_host->register_platform(vfio_host, model);
}

#ifdef __cplusplus
}
#endif

#endif /* VFIO_CUSED_PLUGIN_H */
