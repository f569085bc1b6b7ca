/* umount2(2). */
#ifndef CL_MOUNT_H
#define CL_MOUNT_H

/* Takes the mount at `path` out of the tree now; it ends when its last user is gone. */
int cl_detach_mount(const char *path);

#endif
