/* mount(2), umount2(2). */
#ifndef CL_MOUNT_H
#define CL_MOUNT_H

/* Takes the mount at `path` out of the tree now; it ends when its last user is gone. */
int cl_detach_mount(const char *path);

/*
 * Shows the directory `source`, with what is mounted in it, at `path` too; later mounts propagate from
 * there to here only.
 */
int cl_bind_tree(const char *source, const char *path);

#endif
