/*
 * /dev/vfio as programs look around in it: listing, stat, access, realpath,
 * relative names, names that are not there.
 */
#include "check.h"
#include "client.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int lists(const char *directory, const char *name, int *type)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int found = 0;

	while (dir && (entry = readdir(dir)))
		if (!strcmp(entry->d_name, name)) {
			found++;
			*type = entry->d_type;
		}
	if (dir)
		closedir(dir);
	return found;
}

static void check_stat(void)
{
	struct stat s, l;
	struct statx x;

	check_topic = "stat";
	CHECK_OK(stat("/dev/vfio/pci:240", &s));
	CHECK(S_ISCHR(s.st_mode));
	CHECK_EQ(s.st_mode & 0777, 0660);
	CHECK_EQ(s.st_uid, geteuid());
	CHECK_OK(lstat("/dev/vfio/pci:240", &l));
	CHECK_EQ(l.st_ino, s.st_ino);
	CHECK_EQ(l.st_rdev, s.st_rdev);
	CHECK_OK(statx(AT_FDCWD, "/dev/vfio/pci:240", 0, STATX_ALL, &x));
	CHECK(S_ISCHR(x.stx_mode));
	CHECK_EQ(makedev(x.stx_rdev_major, x.stx_rdev_minor), s.st_rdev);
	CHECK_EQ(x.stx_ino, s.st_ino);
	CHECK_OK(stat("/dev/vfio", &s));
	CHECK(S_ISDIR(s.st_mode));
	CHECK_OK(stat("/dev/vfio/", &s));
	CHECK_ERR(stat("/dev/vfio/pci:240/", &s), ENOTDIR);
	CHECK_ERR(stat("/dev/vfio/pci:240/x", &s), ENOTDIR);
	CHECK_ERR(stat("/dev/vfio/pci:241", &s), ENOENT);
	CHECK_ERR(stat("/dev/vfio/pci:240", (struct stat *)8), EFAULT);
	CHECK_OK(stat("/dev/null", &s));
	CHECK(S_ISCHR(s.st_mode) && major(s.st_rdev) == 1);

	check_topic = "access";
	CHECK_OK(access("/dev/vfio/pci:240", R_OK | W_OK));
	CHECK_ERR(access("/dev/vfio/pci:240", X_OK), EACCES);
	CHECK_OK(access("/dev/vfio", X_OK));
	CHECK_ERR(access("/dev/vfio/none", F_OK), ENOENT);
}

/* As find and tar ask: relative to the directory that they have open. */
static void check_relative_stat(int dir)
{
	struct stat s;

	CHECK_OK(fstatat(dir, "pci:240", &s, 0));
	CHECK(S_ISCHR(s.st_mode));
	CHECK_EQ(s.st_mode & 0777, 0660);
	CHECK_EQ(s.st_uid, geteuid());
	dir = open("/sys/bus/pci/drivers/vfio", O_RDONLY | O_DIRECTORY);
	CHECK_OK(fstatat(dir, "bind", &s, 0));
	CHECK_EQ(s.st_mode & 0777, 0200);
	close(dir);
}

static void check_names(void)
{
	char path[4096];
	int fd, dir;

	check_topic = "names";
	CHECK(realpath("/dev//vfio/../vfio/./pci:240", path) != NULL);
	CHECK(!strcmp(path, "/dev/vfio/pci:240"));
	NEED(chdir("/dev") == 0);
	fd = open("vfio/pci:240", O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	fd = open("../dev/./vfio//pci:240", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE);
	close(fd);
	dir = open("/dev/vfio", O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0);
	check_relative_stat(dir);
	fd = openat(dir, "pci:240", O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE);
	close(fd);
	CHECK_OK(fchdir(dir));
	fd = open("pci:240", O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	close(dir);
	NEED(chdir("/") == 0);
	dir = open("/dev", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "vfio/pci:240", O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	fd = openat(dir, "null", O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	close(dir);
}

static void check_open(void)
{
	int fd, type = -1;

	check_topic = "open";
	CHECK_ERR(open("/dev/vfio/none", O_RDWR), ENOENT);
	CHECK_ERR(open("/dev/vfio/none", O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK_ERR(open("/dev/vfio", O_RDWR), EISDIR);
	CHECK_ERR(open("/dev/vfio/pci:240", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open("/dev/vfio/pci:240", O_RDWR | O_CREAT | O_EXCL, 0600),
		  EEXIST);
	fd = open("/dev/vfio/pci:240", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE);
	close(fd);

	check_topic = "list";
	CHECK_EQ(lists("/dev/vfio", "pci:240", &type), 1);
	CHECK_EQ(type, DT_CHR);
	CHECK_EQ(lists("/dev", "vfio", &type), 1);
	CHECK_EQ(type, DT_DIR);
	CHECK_EQ(lists("/dev", "null", &type), 1);
}

int main(void)
{
	check_start(60);
	check_stat();
	check_names();
	check_open();
	return check_done();
}
