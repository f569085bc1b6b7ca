/*
 * The smallest CUSE server that libfuse makes possible: what an ioctl costs
 * before a server does anything of its own. One thread, libfuse's own loop,
 * arguments by the retry protocol of unrestricted ioctls.
 *
 * reference_server [MAJOR [MINOR]]; runs in the foreground.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

static void reference_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

/* Once the kernel has been told where the argument is, it sends it along. */
static int has_argument(fuse_req_t req, void *arg, size_t size,
			const void *in, size_t in_size, size_t out_size)
{
	struct iovec iov = { .iov_base = arg, .iov_len = size };

	if (in && in_size == size && out_size == size)
		return 1;
	fuse_reply_ioctl_retry(req, &iov, 1, &iov, 1);
	return 0;
}

static void reply_8(fuse_req_t req, const void *in)
{
	struct reference_8 info;

	memcpy(&info, in, sizeof(info));
	if (info.argsz < sizeof(info)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	info.flags = 1;
	fuse_reply_ioctl(req, 0, &info, sizeof(info));
}

static void reply_32(fuse_req_t req, const void *in)
{
	struct reference_32 info;

	memcpy(&info, in, sizeof(info));
	if (info.argsz < sizeof(info)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	info.flags = 0;
	info.size = 0x100000;
	info.offset = (__u64)info.index << 40;
	fuse_reply_ioctl(req, 0, &info, sizeof(info));
}

static void reference_ioctl(fuse_req_t req, int cmd, void *arg,
			    struct fuse_file_info *fi, unsigned int flags,
			    const void *in, size_t in_size, size_t out_size)
{
	(void)fi;
	(void)flags;
	switch ((unsigned int)cmd) {
	case REFERENCE_NODATA:
		fuse_reply_ioctl(req, 0, NULL, 0);
		break;
	case REFERENCE_RETRY8:
		if (has_argument(req, arg, sizeof(struct reference_8), in,
				 in_size, out_size))
			reply_8(req, in);
		break;
	case REFERENCE_RETRY32:
		if (has_argument(req, arg, sizeof(struct reference_32), in,
				 in_size, out_size))
			reply_32(req, in);
		break;
	default:
		fuse_reply_err(req, ENOTTY);
	}
}

int main(int argc, char **argv)
{
	static const struct cuse_lowlevel_ops ops = {
		.open = reference_open,
		.ioctl = reference_ioctl,
	};
	const char *info_argv[] = { "DEVNAME=vfio-reference" };
	/* A major of our own: the kernel's dynamic ones are few. */
	struct cuse_info info = {
		.dev_major = argc > 1 ? strtoul(argv[1], NULL, 0) : 261,
		.dev_minor = argc > 2 ? strtoul(argv[2], NULL, 0) : 0,
		.dev_info_argc = 1,
		.dev_info_argv = info_argv,
		.flags = CUSE_UNRESTRICTED_IOCTL,
	};
	char *fuse_argv[] = { argv[0], "-f", "-s", NULL };

	return cuse_lowlevel_main(3, fuse_argv, &info, &ops, NULL);
}
