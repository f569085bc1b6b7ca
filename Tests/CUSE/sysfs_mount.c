/*
 * The emulated /sys of serve as a file system: modes, sizes, offsets, errors,
 * and writes that wait: sysfs_mount DIRECTORY. As root on the document's
 * machine with all devices bound to vfio; `sysfs_mount DIRECTORY user` for what
 * an ordinary user sees.
 */
#include "check.h"
#include "client.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

static const char *top;

static const char *at(const char *name)
{
	static char paths[4][PATH_MAX];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", top, name);
	return path;
}

#define PCI "bus/pci/"
#define DEVICE PCI "devices/0000:06:0d.0/"
#define DRIVER PCI "drivers/vfio/"

static int put(const char *name, const char *text)
{
	int fd = open(at(name), O_WRONLY), error;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : n == (ssize_t)strlen(text) ? 0 : -2;
}

static void check_modes(void)
{
	static const struct { const char *name; mode_t mode; off_t size; } files[] = {
		{ DEVICE "vendor", S_IFREG | 0444, 4096 },
		{ DEVICE "config", S_IFREG | 0644, 256 },
		{ DEVICE "resource0", S_IFREG | 0600, 1 << 20 },
		{ DEVICE "remove", S_IFREG | 0220, 4096 },
		{ DEVICE "driver_override", S_IFREG | 0644, 4096 },
		{ DRIVER "new_id", S_IFREG | 0200, 4096 },
		{ DRIVER "bind", S_IFREG | 0200, 4096 },
		{ PCI "rescan", S_IFREG | 0200, 4096 },
		{ PCI "drivers_autoprobe", S_IFREG | 0644, 4096 },
		{ "bus/pci/devices", S_IFDIR | 0755, 0 },
		{ DEVICE "driver", S_IFLNK | 0777, 0 },
	};
	struct stat s, t;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		check_topic = files[i].name;
		NEED(lstat(at(files[i].name), &s) == 0);
		CHECK_EQ(s.st_mode, files[i].mode);
		CHECK_EQ(s.st_size, files[i].size);
		CHECK(s.st_uid == 0 && s.st_gid == 0);
		CHECK(lstat(at(files[i].name), &t) == 0 && s.st_ino == t.st_ino);
	}
	check_topic = "inodes";
	CHECK(stat(at(DEVICE "vendor"), &s) == 0 && stat(at(DEVICE "device"), &t) == 0);
	CHECK(s.st_ino != t.st_ino);
}

static void check_reads(void)
{
	char bytes[5000] = { 0 };
	unsigned char config[256];
	int fd = open(at(DEVICE "vendor"), O_RDONLY), other;

	check_topic = "reads";
	NEED(fd >= 0);
	CHECK_EQ(read(fd, bytes, 3), 3);
	CHECK_EQ(read(fd, bytes + 3, sizeof(bytes) - 3), 4);
	CHECK(!strcmp(bytes, "0x1234\n"));
	CHECK_EQ(read(fd, bytes, 1), 0);
	CHECK_EQ(pread(fd, bytes, 2, 5), 2);
	CHECK(!memcmp(bytes, "4\n", 2));
	CHECK_EQ(pread(fd, bytes, 10, 5000), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(read(fd, bytes, sizeof(bytes)), 7);
	CHECK_ERR(write(fd, "1", 1), EBADF);
	close(fd);

	check_topic = "what is read follows what is written";
	fd = open(at(DEVICE "driver_override"), O_RDONLY);
	other = open(at(DEVICE "driver_override"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	NEED(fd >= 0 && other >= 0);
	CHECK_EQ(write(other, "vfio\n", 5), 5);
	CHECK_EQ(pread(fd, bytes, 100, 0), 5);
	CHECK(!memcmp(bytes, "vfio\n", 5));
	CHECK_EQ(write(other, "\n", 1), 1);
	CHECK_EQ(pread(fd, bytes, 100, 0), 7);
	CHECK(!memcmp(bytes, "(null)\n", 7));
	CHECK_EQ(ftruncate(other, 0), 0);
	close(other);
	close(fd);

	check_topic = "configuration space";
	fd = open(at(DEVICE "config"), O_RDONLY);
	CHECK_EQ(read(fd, config, sizeof(config)), 256);
	CHECK(config[0] == 0x34 && config[1] == 0x12);
	CHECK_EQ(pread(fd, config, 4, 0x2c), 4);
	CHECK(config[0] == 0xf4 && config[1] == 0x1a);
	CHECK_EQ(pread(fd, config, 4, 254), 2);
	CHECK_EQ(pread(fd, config, 4, 256), 0);
	close(fd);
}

static void check_errors(void)
{
	char link[PATH_MAX], page[4097];
	int fd;

	check_topic = "errors";
	CHECK_ERR(open(at("nothing"), O_RDONLY), ENOENT);
	CHECK_ERR(open(at(DEVICE "vendor"), O_WRONLY), EACCES);
	CHECK_ERR(open(at(DEVICE "vendor"), O_RDWR), EACCES);
	CHECK_ERR(open(at(DRIVER "bind"), O_RDONLY), EACCES);
	CHECK_ERR(open(at(DEVICE "vendor/x"), O_RDONLY), ENOTDIR);
	CHECK_ERR(open(at("bus"), O_WRONLY), EISDIR);
	CHECK_ERR(open(at("new"), O_WRONLY | O_CREAT, 0644), EACCES);
	CHECK_ERR(open(at(DEVICE "vendor"), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	CHECK_ERR(mkdir(at("new"), 0755), EPERM);
	CHECK_ERR(unlink(at(DEVICE "vendor")), EPERM);
	CHECK_ERR(rmdir(at("bus")), EPERM);
	CHECK_ERR(rename(at(DEVICE "vendor"), at(DEVICE "new")), EPERM);
	CHECK_ERR(symlink("x", at("new")), EPERM);
	CHECK_ERR(readlink(at(DEVICE "vendor"), link, sizeof(link)), EINVAL);
	CHECK_ERR(put(DRIVER "bind", "nonsense\n"), ENODEV);
	CHECK_ERR(put(DRIVER "bind", "0000:06:0d.0\n"), EBUSY);
	CHECK_ERR(put(DRIVER "unbind", "0000:06:0d.7\n"), ENODEV);
	CHECK_ERR(put(DRIVER "new_id", "\n"), EINVAL);
	CHECK_ERR(put(DRIVER "remove_id", "1 2\n"), ENODEV);
	CHECK_ERR(put(PCI "rescan", "yes\n"), EINVAL);
	CHECK_ERR(put(PCI "drivers_probe", "x\n"), ENODEV);
	CHECK_ERR(put(DEVICE "uevent", "dance\n"), EINVAL);
	CHECK_OK(put(DEVICE "uevent", "add\n"));
	CHECK_OK(put(DEVICE "reset", "1\n"));
	fd = open(at(DEVICE "resource0"), O_RDWR);
	CHECK_ERR(pread(fd, page, 4, 0), EIO);
	CHECK_OK(pread(fd, page, 4, 1 << 20));
	CHECK_ERR(pwrite(fd, page, 4, 0), EIO);
	CHECK_ERR(pwrite(fd, page, 4, 1 << 20), EFBIG);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	close(fd);

	check_topic = "long writes";
	memset(page, ' ', sizeof(page));
	fd = open(at(DRIVER "new_id"), O_WRONLY);
	memcpy(page, "ffff ffff", 9);
	CHECK_EQ(write(fd, page, sizeof(page)), 4096);
	CHECK_OK(put(DRIVER "remove_id", "ffff ffff"));
	close(fd);
}

static void check_owner(void)
{
	struct stat s;

	check_topic = "chmod and chown";
	CHECK_OK(chmod(at(DRIVER "new_id"), 0220));
	CHECK_OK(chown(at(DRIVER "new_id"), -1, 1000));
	CHECK_OK(stat(at(DRIVER "new_id"), &s));
	CHECK(s.st_mode == (S_IFREG | 0220) && s.st_uid == 0 && s.st_gid == 1000);
	CHECK_OK(chmod(at(DRIVER "new_id"), 0200));
	CHECK_OK(chown(at(DRIVER "new_id"), 0, 0));
}

static void check_listing(void)
{
	struct dirent *entry;
	struct stat s;
	int found = 0, wrong = 0, dir = open(at(DEVICE), O_RDONLY | O_DIRECTORY);
	DIR *stream = fdopendir(dir);

	check_topic = "listings";
	NEED(stream != NULL);
	while ((entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		found++;
		wrong += fstatat(dir, entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 ||
			 entry->d_ino != s.st_ino || entry->d_type != IFTODT(s.st_mode);
	}
	CHECK(found > 20);
	CHECK_EQ(wrong, 0);
	rewinddir(stream);
	CHECK((entry = readdir(stream)) && !strcmp(entry->d_name, "."));
	closedir(stream);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void *unbind(void *result)
{
	*(int *)result = put(DRIVER "unbind", "0000:06:0d.0\n");
	return NULL;
}

static void check_waiting(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int result = 1, group = open_group();
	int device = get_device(group);
	char link[PATH_MAX];
	pthread_t thread;

	check_topic = "a signal takes an unbind back";
	NEED(group >= 0 && device >= 0);
	sigaction(SIGALRM, &action, NULL);
	ualarm(300000, 0);
	CHECK_ERR(put(DRIVER "unbind", "0000:06:0d.0\n"), EINTR);
	CHECK_EQ(alarms, 1);
	CHECK(readlink(at(DEVICE "driver"), link, sizeof(link)) > 0);
	CHECK_EQ(group_flags(group) & VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_VIABLE);
	close(device);
	CHECK(readlink(at(DEVICE "driver"), link, sizeof(link)) > 0);

	check_topic = "an unbind waits for the last user";
	device = get_device(group);
	NEED(device >= 0);
	NEED(pthread_create(&thread, NULL, unbind, &result) == 0);
	sleep_us(300000);
	CHECK(readlink(at(DEVICE "driver"), link, sizeof(link)) > 0);
	CHECK_ERR(put(DRIVER "unbind", "0000:06:0d.0\n"), EBUSY);
	close(device);
	pthread_join(thread, NULL);
	CHECK_EQ(result, 0);
	CHECK_ERR(readlink(at(DEVICE "driver"), link, sizeof(link)), ENOENT);
	CHECK_EQ(group_flags(group) & VFIO_GROUP_FLAGS_VIABLE, 0);
	CHECK_OK(put(DRIVER "bind", "0000:06:0d.0\n"));
	CHECK_EQ(group_flags(group) & VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_VIABLE);
	close(group);
}

static void check_user(void)
{
	unsigned char config[256];
	int fd;

	check_topic = "an ordinary user";
	CHECK_ERR(open(at(DRIVER "bind"), O_WRONLY), EACCES);
	CHECK_ERR(open(at(DEVICE "remove"), O_WRONLY), EACCES);
	CHECK_ERR(open(at(DEVICE "resource0"), O_RDONLY), EACCES);
	CHECK_ERR(chmod(at(DEVICE "vendor"), 0666), EPERM);
	fd = open(at(DEVICE "vendor"), O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	fd = open(at(DEVICE "config"), O_RDONLY);
	CHECK_EQ(read(fd, config, sizeof(config)), 64);
	CHECK_EQ(pread(fd, config, 4, 64), 0);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	top = argv[1];
	check_start(60);
	if (argc > 2) {
		check_user();
		return check_done();
	}
	check_modes();
	check_reads();
	check_errors();
	check_owner();
	check_listing();
	check_waiting();
	return check_done();
}
