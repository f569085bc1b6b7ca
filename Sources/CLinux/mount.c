#include "cl_mount.h"

#include <errno.h>
#include <sys/mount.h>

int cl_detach_mount(const char *path)
{
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}
