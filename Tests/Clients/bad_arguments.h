/*
 * Arguments that are wrong in the ways in which those of any request can be.
 */
#ifndef BAD_ARGUMENTS_H
#define BAD_ARGUMENTS_H

#include "check.h"
#include "client.h"

#include <limits.h>

#define UNKNOWN_FLAG	(1u << 31)
#define NO_REQUEST	_IO(VFIO_TYPE, VFIO_BASE + 99)

/* Two pages, of which only the first can be touched. */
static inline char *page_before_hole(void)
{
	char *page = new_pages(2);

	mprotect(page + PAGE, PAGE, PROT_NONE);
	return page;
}

static inline int closed_fd(void)
{
	int fd = open("/dev/null", O_RDONLY), high = fcntl(fd, F_DUPFD, 200);

	close(fd);
	close(high);
	return high;
}

/* An argument at an address that goes wrong in each of the ways there are. */
static inline void check_pointers(int fd, unsigned long request,
				  const void *good, size_t size, int has_result)
{
	char *page = page_before_hole();
	char *none = page + PAGE;
	char *half = none - size / 2;
	char *last = none - size;
	char *gone = new_pages(1);

	munmap(gone, PAGE);
	CHECK_ERR(ioctl(fd, request, NULL), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)8), EFAULT);
	CHECK_ERR(ioctl(fd, request, none), EFAULT);
	CHECK_ERR(ioctl(fd, request, gone), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)0xffff888000000000), EFAULT);
	CHECK_ERR(ioctl(fd, request, (void *)(ULONG_MAX - 7)), EFAULT);
	memcpy(half, good, size / 2);
	CHECK_ERR(ioctl(fd, request, half), EFAULT);
	if (has_result) {
		memcpy(last, good, size);
		CHECK_OK(ioctl(fd, request, last));
		memcpy(last, good, size);
		mprotect(page, PAGE, PROT_READ);
		CHECK_ERR(ioctl(fd, request, last), EFAULT);
	}
	munmap(page, 2 * PAGE);
}

/* A copy of an argument with another argsz and another flag. */
static inline long with_header(int fd, unsigned long request, const void *good,
			       size_t size, uint32_t argsz, uint32_t more_flags)
{
	uint32_t copy[16];

	memcpy(copy, good, size);
	copy[0] = argsz;
	copy[1] |= more_flags;
	return ioctl(fd, request, copy);
}

/* The two words that every structure starts with, where the answer is info. */
static inline void check_info_header(int fd, unsigned long request,
				     const void *good, size_t size)
{
	char *page = page_before_hole();
	uint32_t *last = (uint32_t *)(page + PAGE - size);

	CHECK_ERR(with_header(fd, request, good, size, 0, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, 4, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size - 4, 0), EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size - 1, 0), EINVAL);
	CHECK_OK(with_header(fd, request, good, size, size, 0));
	CHECK_OK(with_header(fd, request, good, size, size + 1, 0));
	CHECK_OK(with_header(fd, request, good, size, 4096, 0));
	CHECK_OK(with_header(fd, request, good, size, UINT32_MAX, 0));
	CHECK_ERR(with_header(fd, request, good, size, size, UNKNOWN_FLAG),
		  EINVAL);
	CHECK_ERR(with_header(fd, request, good, size, size, 1u << 8), EINVAL);

	/* A larger argsz is no reason to touch what lies behind. */
	memcpy(last, good, size);
	last[0] = 4096;
	CHECK_OK(ioctl(fd, request, last));
	/* The flags of one answer are known flags in the next request. */
	last[0] = size;
	CHECK_OK(ioctl(fd, request, last));
	munmap(page, 2 * PAGE);
}

static inline void check_unknown_requests(int fd)
{
	uint64_t room[64] = { 0 };

	CHECK_ERR(ioctl(fd, NO_REQUEST, room), ENOTTY);
	CHECK_ERR(ioctl(fd, NO_REQUEST, NULL), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE - 1), room), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 15), room), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO('!', VFIO_BASE), room), ENOTTY);
	/* Known numbers with another size are other requests. */
	CHECK_ERR(ioctl(fd, _IOWR(VFIO_TYPE, VFIO_BASE, uint64_t), room),
		  ENOTTY);
	CHECK_ERR(ioctl(fd, _IOR(VFIO_TYPE, VFIO_BASE + 8, uint64_t), room),
		  ENOTTY);
}

/* What one kind of descriptor knows is unknown to the others. */
static inline void check_foreign_requests(int fd, const unsigned long *foreign,
					  size_t count)
{
	uint64_t room[64] = { 0 };

	for (size_t i = 0; i < count; i++) {
		char what[40];

		snprintf(what, sizeof(what), "request %#lx", foreign[i]);
		errno = 0;
		check_error(__FILE__, __LINE__, what, "ENOTTY",
			    ioctl(fd, foreign[i], room), ENOTTY);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const unsigned long group_requests[] = {
	VFIO_GROUP_GET_INFO, VFIO_GROUP_MERGE, VFIO_GROUP_UNMERGE,
	VFIO_GROUP_GET_IOMMU_FD, VFIO_GROUP_GET_DEVICE_FD,
};
static const unsigned long iommu_requests[] = {
	VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
};
static const unsigned long device_requests[] = {
	VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
	VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQ_EVENTFDS,
	VFIO_DEVICE_UNMASK_IRQ, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS,
	VFIO_DEVICE_RESET,
};

#endif /* BAD_ARGUMENTS_H */
