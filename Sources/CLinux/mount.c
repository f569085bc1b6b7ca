#include "cl_mount.h"

#include <errno.h>
#include <sys/mount.h>

int cl_detach_mount(const char *path)
{
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int cl_bind_tree(const char *source, const char *path)
{
	if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	if (mount(NULL, path, NULL, MS_SLAVE | MS_REC, NULL) < 0) {
		int error = errno;

		umount2(path, MNT_DETACH);
		return -error;
	}
	return 0;
}
