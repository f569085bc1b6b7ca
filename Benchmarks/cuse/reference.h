/*
 * What the reference server answers. Two of its requests carry structures of
 * the sizes of VFIO's, to compare like with like.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define REFERENCE_NODE	"/dev/vfio-reference"

struct reference_8 {		/* as struct vfio_group_info */
	__u32	argsz;
	__u32	flags;
};

struct reference_32 {		/* as struct vfio_region_info */
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	resv;
	__u64	size;
	__u64	offset;
};

#define REFERENCE_NODATA	_IO(';', 0xe0)
#define REFERENCE_RETRY8	_IO(';', 0xe1)	/* struct reference_8 * */
#define REFERENCE_RETRY32	_IO(';', 0xe2)	/* struct reference_32 * */

#endif
