/*
 * VFIO user API, as of the draft of December 2011.
 *
 * A group of devices is a character device, /dev/vfio/<bus>:<group id>. Ioctls
 * on the group give file descriptors for the IOMMU and for each device; ioctls,
 * read and write on those do the rest. Numbers, structures and semantics are
 * not those of today's <linux/vfio.h>: a program includes one or the other.
 *
 * Compile with -I pointing at the directory above this one, so that
 * <linux/vfio.h> means this file.
 *
 * Rules of every ioctl:
 *  - a pointer that cannot be read (or written, for results): EFAULT;
 *  - argsz, set by the caller, is the size of the structure the caller knows:
 *    below the size of the structure here: EINVAL, above it: fine;
 *  - an unknown bit in flags: EINVAL;
 *  - a request that this kind of file descriptor does not know: ENOTTY.
 */
#ifndef VFIO_2011_LINUX_VFIO_H
#define VFIO_2011_LINUX_VFIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Requests do not encode the size of their structure, so that a structure can
 * grow. Only the two that pass a plain object do.
 */
#define VFIO_TYPE	(';')
#define VFIO_BASE	100

/* ------------------------------------------------- ioctls on a group fd */

/*
 * Once its IOMMU is open, a group (all groups merged with it, really) belongs
 * to one address space until the last IOMMU and device descriptor is closed.
 * Meanwhile every request but VFIO_GROUP_GET_INFO made from another address
 * space fails with EPERM. Threads share an address space, fork children do not.
 */

/*
 * VFIO_GROUP_GET_INFO - struct vfio_group_info *, in and out
 *
 * VIABLE: every device of the set is bound to its vfio bus driver.
 * MM_LOCKED: an address space owns the set.
 * Returns 0; EFAULT, EINVAL. Never EPERM.
 */
struct vfio_group_info {
	__u32	argsz;
	__u32	flags;
#define VFIO_GROUP_FLAGS_VIABLE		(1 << 0)
#define VFIO_GROUP_FLAGS_MM_LOCKED	(1 << 1)
};
#define VFIO_GROUP_GET_INFO		_IO(VFIO_TYPE, VFIO_BASE + 0)

/*
 * VFIO_GROUP_MERGE - const __s32 *, the group fd to merge into this group
 *
 * Returns 0. EBADF: the fd is not open. EINVAL: a negative fd; no group; this
 * same group; a group of another bus; a group whose IOMMU is in use. EBUSY: a
 * set that is not viable. EFAULT, EPERM. After a failure nothing has changed.
 */
#define VFIO_GROUP_MERGE		_IOW(VFIO_TYPE, VFIO_BASE + 1, __s32)

/*
 * VFIO_GROUP_UNMERGE - no argument: this group leaves its merged set
 *
 * Returns 0. EINVAL: not merged. EBUSY: a device of this group is open. EPERM.
 */
#define VFIO_GROUP_UNMERGE		_IO(VFIO_TYPE, VFIO_BASE + 2)

/*
 * VFIO_GROUP_GET_IOMMU_FD - no argument
 *
 * Returns a new fd for the set's IOMMU. EBUSY: not viable. EMFILE, EPERM.
 */
#define VFIO_GROUP_GET_IOMMU_FD		_IO(VFIO_TYPE, VFIO_BASE + 3)

/*
 * VFIO_GROUP_GET_DEVICE_FD - const char *, name of a device of the set
 *
 * The name ends in NUL and takes at most a page, NUL included.
 * Returns a new fd for the device. ENODEV: no device of that name in the set.
 * EBUSY: not viable. EINVAL: the name is too long. EFAULT, EMFILE, EPERM, and
 * what the device's driver answers to an open.
 */
#define VFIO_GROUP_GET_DEVICE_FD	_IOW(VFIO_TYPE, VFIO_BASE + 4, char)

/* ---------------------------------------------- ioctls on an IOMMU fd */

/*
 * VFIO_IOMMU_GET_INFO - struct vfio_iommu_info *, in and out
 *
 * The lowest bit of pgsize_bitmap is the alignment that mappings need.
 * Returns 0; EFAULT, EINVAL.
 */
struct vfio_iommu_info {
	__u32	argsz;
	__u32	flags;
	__u64	iova_max;
	__u64	iova_min;
	__u64	pgsize_bitmap;
};
#define VFIO_IOMMU_GET_INFO		_IO(VFIO_TYPE, VFIO_BASE + 5)

/*
 * VFIO_IOMMU_MAP_DMA - const struct vfio_dma_map *
 *
 * Returns 0. EINVAL: neither READ nor WRITE; vaddr, iova or size not aligned;
 * size 0; a range that wraps. EBUSY: overlaps a mapping. EFAULT: bad pointer,
 * or a page of vaddr that is not mapped (not writable, for WRITE); nothing
 * stays mapped then. ENOMEM: over RLIMIT_MEMLOCK, without CAP_IPC_LOCK.
 */
struct vfio_dma_map {
	__u32	argsz;
	__u32	flags;
#define VFIO_DMA_MAP_FLAG_READ		(1 << 0)	/* device may read */
#define VFIO_DMA_MAP_FLAG_WRITE		(1 << 1)	/* device may write */
	__u64	vaddr;		/* process virtual address */
	__u64	iova;		/* address on the device's side */
	__u64	size;		/* bytes */
};
#define VFIO_IOMMU_MAP_DMA		_IO(VFIO_TYPE, VFIO_BASE + 6)

/*
 * VFIO_IOMMU_UNMAP_DMA - const struct vfio_dma_unmap *
 *
 * Unmaps whatever part of the range is mapped, splitting mappings as needed.
 * Returns 0, also when nothing was mapped. EINVAL: iova or size not aligned,
 * any flag. EFAULT.
 */
struct vfio_dma_unmap {
	__u32	argsz;
	__u32	flags;
	__u64	iova;
	__u64	size;		/* bytes */
};
#define VFIO_IOMMU_UNMAP_DMA		_IO(VFIO_TYPE, VFIO_BASE + 7)

/* ---------------------------------------------- ioctls on a device fd */

/*
 * VFIO_DEVICE_GET_INFO - struct vfio_device_info *, in and out
 *
 * Returns 0; EFAULT, EINVAL.
 */
struct vfio_device_info {
	__u32	argsz;
	__u32	flags;
#define VFIO_DEVICE_FLAGS_RESET		(1 << 0)	/* can be reset */
#define VFIO_DEVICE_FLAGS_PCI		(1 << 1)	/* a PCI function */
	__u32	num_regions;
	__u32	num_irqs;
};
#define VFIO_DEVICE_GET_INFO		_IO(VFIO_TYPE, VFIO_BASE + 8)

/*
 * VFIO_DEVICE_GET_REGION_INFO - struct vfio_region_info *, in and out
 *
 * The caller sets index. A region that the device lacks has size 0. The region
 * is read and written at offset on the device fd.
 * Returns 0; EFAULT; EINVAL, also for an index out of range.
 */
struct vfio_region_info {
	__u32	argsz;
	__u32	flags;
#define VFIO_REGION_INFO_FLAG_MMAP	(1 << 0)	/* can be mapped */
#define VFIO_REGION_INFO_FLAG_RO	(1 << 1)	/* read only */
	__u32	index;
	__u32	resv;
	__u64	size;		/* bytes */
	__u64	offset;		/* of the region on the device fd */
};
#define VFIO_DEVICE_GET_REGION_INFO	_IO(VFIO_TYPE, VFIO_BASE + 9)

/*
 * VFIO_DEVICE_GET_IRQ_INFO - struct vfio_irq_info *, in and out
 *
 * The caller sets index. An interrupt that the device lacks has count 0.
 * Returns 0; EFAULT; EINVAL, also for an index out of range.
 */
struct vfio_irq_info {
	__u32	argsz;
	__u32	flags;
#define VFIO_IRQ_INFO_FLAG_LEVEL	(1 << 0)	/* level triggered */
	__u32	index;
	__u32	count;
};
#define VFIO_DEVICE_GET_IRQ_INFO	_IO(VFIO_TYPE, VFIO_BASE + 10)

/*
 * VFIO_DEVICE_SET_IRQ_EVENTFDS - const struct vfio_irq_eventfds *
 *
 * Enables the interrupt: each time it fires, its eventfd is signalled; an
 * entry of -1 is a vector without one. A count of 0 disables it again. A level
 * triggered interrupt is masked when it is signalled, until it is unmasked.
 * Returns 0. EINVAL: argsz too small for count; any flag; index or count out
 * of range; set already, or another kind of interrupt is; count 0 and not set;
 * an fd that is no eventfd. EBADF: an fd that is not open. EFAULT.
 */
struct vfio_irq_eventfds {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	count;
	__s32	eventfds[];
};
#define VFIO_DEVICE_SET_IRQ_EVENTFDS	_IO(VFIO_TYPE, VFIO_BASE + 11)

/*
 * VFIO_DEVICE_UNMASK_IRQ - const struct vfio_unmask_irq *
 *
 * If the interrupt line is still asserted, it fires at once.
 * Returns 0. EINVAL: the index is not that of a level triggered interrupt;
 * subindex out of range; any flag. EFAULT.
 */
struct vfio_unmask_irq {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	subindex;
};
#define VFIO_DEVICE_UNMASK_IRQ		_IO(VFIO_TYPE, VFIO_BASE + 12)

/*
 * VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS - const struct vfio_irq_eventfds *
 *
 * Signalling the eventfd unmasks the interrupt; a count of 0 ends that.
 * Returns 0. EINVAL: argsz too small for count; any flag; the index is not
 * that of a level triggered interrupt; count above 1; no eventfd. EBADF,
 * EFAULT.
 */
#define VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS	_IO(VFIO_TYPE, VFIO_BASE + 13)

/*
 * VFIO_DEVICE_RESET - no argument
 *
 * Returns 0. EINVAL: the device has no reset.
 */
#define VFIO_DEVICE_RESET		_IO(VFIO_TYPE, VFIO_BASE + 14)

/* --------------------------------- regions and interrupts of PCI devices */

enum {
	VFIO_PCI_BAR0_REGION_INDEX,
	VFIO_PCI_BAR1_REGION_INDEX,
	VFIO_PCI_BAR2_REGION_INDEX,
	VFIO_PCI_BAR3_REGION_INDEX,
	VFIO_PCI_BAR4_REGION_INDEX,
	VFIO_PCI_BAR5_REGION_INDEX,
	VFIO_PCI_ROM_REGION_INDEX,
	VFIO_PCI_CONFIG_REGION_INDEX,
	VFIO_PCI_NUM_REGIONS
};

enum {
	VFIO_PCI_INTX_IRQ_INDEX,
	VFIO_PCI_MSI_IRQ_INDEX,
	VFIO_PCI_MSIX_IRQ_INDEX,
	VFIO_PCI_NUM_IRQS
};

#endif /* VFIO_2011_LINUX_VFIO_H */
