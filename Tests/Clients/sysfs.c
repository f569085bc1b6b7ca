/*
 * The devices in /sys, beside the machine's own: reads, links, listings,
 * relative names, unbind and bind.
 */
#include "check.h"
#include "client.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#define DEVICES "/sys/bus/pci/devices/"
#define DRIVER "/sys/bus/pci/drivers/vfio/"

static int contains(const char *path, const char *text)
{
	char bytes[300];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes) - 1);

	close(fd);
	bytes[n > 0 ? n : 0] = 0;
	if (strcmp(bytes, text))
		note("%s has %s", path, bytes);
	return !strcmp(bytes, text);
}

static int lists(const char *path, const char *name)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int found = 0;

	while (dir && (entry = readdir(dir)))
		found += !strcmp(entry->d_name, name);
	if (dir)
		closedir(dir);
	return found;
}

static int puts_into(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), result, error;

	if (fd < 0)
		return -1;
	result = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	error = errno;
	close(fd);
	errno = error;
	return result;
}

static void check_reads(void)
{
	char path[PATH_MAX], link[PATH_MAX] = { 0 };
	struct stat s;
	int dir, fd;

	check_topic = "reads";
	CHECK(contains(DEVICES "0000:06:0d.0/vendor", "0x1234\n"));
	CHECK(contains(DEVICES "0000:06:0d.0/device", "0x11e8\n"));
	CHECK(contains("/sys/class/../bus/pci/devices/0000:06:0d.1/vendor",
		       "0x1234\n"));
	CHECK(readlink(DEVICES "0000:06:0d.0", link, sizeof(link) - 1) > 0);
	CHECK(!strcmp(link, "../../../devices/pci0000:00/0000:00:1e.0/"
		      "0000:06:0d.0"));
	CHECK(realpath(DEVICES "0000:06:0d.0/driver", path) != NULL);
	CHECK(!strcmp(path, "/sys/bus/pci/drivers/vfio"));
	CHECK(realpath(DEVICES "0000:06:0d.0/subsystem", path) != NULL);
	CHECK(!strcmp(path, "/sys/bus/pci"));
	CHECK_OK(lstat(DEVICES "0000:06:0d.0", &s));
	CHECK(S_ISLNK(s.st_mode));
	CHECK_OK(stat(DEVICES "0000:06:0d.0", &s));
	CHECK(S_ISDIR(s.st_mode));
	CHECK_OK(access(DEVICES "0000:06:0d.0/config", R_OK));
	CHECK_ERR(access(DEVICES "0000:06:0d.0/none", F_OK), ENOENT);
	CHECK_ERR(open(DEVICES "0000:06:0d.0/none", O_RDONLY), ENOENT);
	CHECK_ERR(open(DEVICES "0000:06:0d.0/vendor", O_WRONLY), EACCES);

	check_topic = "listings";
	CHECK_EQ(lists(DEVICES, "0000:06:0d.0"), 1);
	CHECK_EQ(lists(DEVICES, "0000:06:0d.1"), 1);
	CHECK_EQ(lists(DEVICES "0000:06:0d.0", "vendor"), 1);
	CHECK_EQ(lists("/sys/class", "vfio"), 1);
	CHECK_EQ(lists("/sys/class", "net"), 1);
	CHECK_EQ(lists("/sys/class/vfio", "pci:240"), 1);

	check_topic = "relative names";
	dir = open(DEVICES, O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0);
	fd = openat(dir, "0000:06:0d.0/vendor", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	CHECK_OK(fstatat(dir, "0000:06:0d.0", &s, 0));
	CHECK(S_ISDIR(s.st_mode));
	/* As find and tar go down: from one directory's descriptor to the next. */
	fd = openat(dir, "0000:06:0d.0", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	CHECK_OK(fstatat(fd, "vendor", &s, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISREG(s.st_mode));
	CHECK_OK(fstatat(fd, "subsystem", &s, 0));
	CHECK(S_ISDIR(s.st_mode));
	CHECK_OK(fstatat(fd, "..", &s, 0));
	close(fd);
	close(dir);
	NEED(chdir("/sys/bus/pci") == 0);
	CHECK(contains("devices/0000:06:0d.0/vendor", "0x1234\n"));
	CHECK(contains("../pci/./devices/0000:06:0d.0/vendor", "0x1234\n"));
}

static void check_binding(void)
{
	char link[PATH_MAX];
	int group = open_group();

	check_topic = "unbind and bind";
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	CHECK_OK(puts_into(DRIVER "unbind", "0000:06:0d.0"));
	CHECK_EQ(group_flags(group), 0);
	CHECK_ERR(readlink(DEVICES "0000:06:0d.0/driver", link, sizeof(link)),
		  ENOENT);
	CHECK_ERR(puts_into(DRIVER "unbind", "0000:06:0d.0"), ENODEV);
	CHECK_OK(puts_into(DRIVER "bind", "0000:06:0d.0\n"));
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	CHECK_ERR(puts_into(DRIVER "bind", "nonsense"), ENODEV);
	close(group);
}

int main(void)
{
	check_start(60);
	check_reads();
	check_binding();
	return check_done();
}
