/*
 * Emulated directories as working directories, and what is open by its name in
 * /proc: getcwd, relative names, `..`, children and threads.
 */
#include "check.h"
#include "client.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#define DEVICES	"/sys/bus/pci/devices"
#define DEVICE	DEVICES "/0000:06:0d.0"
#define REAL	"/sys/devices/pci0000:00/0000:00:1e.0/0000:06:0d.0"

static int contains(const char *path, const char *text)
{
	char bytes[300] = { 0 };
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, bytes, sizeof(bytes) - 1) < 0)
		return 0;
	close(fd);
	return !strcmp(bytes, text);
}

static int is_in(const char *path)
{
	char here[PATH_MAX] = { 0 }, link[PATH_MAX] = { 0 };

	if (!getcwd(here, sizeof(here)) || strcmp(here, path))
		note("getcwd gives %s", here);
	if (readlink("/proc/self/cwd", link, sizeof(link) - 1) < 0 || strcmp(link, path))
		note("/proc/self/cwd is %s", link);
	return !strcmp(here, path) && !strcmp(link, path);
}

static int first_free(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return fd;
}

static void check_directories(void)
{
	char path[PATH_MAX], small[5];
	int before = first_free();
	struct stat s;

	check_topic = "chdir";
	CHECK_OK(chdir(DEVICE));
	CHECK(is_in(REAL));
	CHECK_EQ(first_free(), before);
	CHECK(contains("vendor", "0x1234\n"));
	CHECK(contains("./device", "0x11e8\n"));
	CHECK(contains("../0000:06:0d.1/vendor", "0x1234\n"));
	CHECK(contains(DEVICE "/vendor", "0x1234\n"));
	CHECK(realpath("driver", path) && !strcmp(path, "/sys/bus/pci/drivers/vfio"));
	CHECK_OK(stat("config", &s));
	CHECK_ERR(stat("none", &s), ENOENT);
	CHECK_ERR(open("none", O_RDONLY), ENOENT);
	CHECK(getcwd(small, sizeof(small)) == NULL && errno == ERANGE);
	CHECK_ERR(chdir("vendor"), ENOTDIR);
	CHECK_ERR(chdir("none"), ENOENT);
	CHECK(is_in(REAL));

	check_topic = "chdir to ..";
	CHECK_OK(chdir(".."));
	CHECK(is_in("/sys/devices/pci0000:00/0000:00:1e.0"));
	CHECK_OK(chdir("0000:06:0d.1"));
	CHECK(contains("vendor", "0x1234\n"));
	CHECK(access("../../../../../etc/passwd", R_OK) == 0);
	CHECK_OK(chdir("../../../../.."));
	CHECK(is_in("/"));
	CHECK(access("etc/passwd", R_OK) == 0);
	CHECK_OK(chdir("/dev/vfio"));
	CHECK(is_in("/dev/vfio"));
	CHECK_EQ(access("pci:240", R_OK | W_OK), 0);
	CHECK_OK(chdir(".."));
	CHECK(is_in("/dev"));

	check_topic = "the machine's own directories";
	CHECK_OK(chdir("/sys"));
	CHECK(is_in("/sys"));
	CHECK_OK(chdir("/usr/bin"));
	CHECK(is_in("/usr/bin"));
	CHECK_ERR(chdir("/none"), ENOENT);
	CHECK_ERR(chdir((char *)8), EFAULT);
	CHECK_OK(chdir("/"));
	CHECK_EQ(first_free(), before);
}

static void check_writes(void)
{
	int fd, dir, group = open_group();

	check_topic = "writes from there";
	CHECK_OK(chdir("/sys/bus/pci/drivers/vfio"));
	fd = open("unbind", O_WRONLY);
	CHECK_EQ(write(fd, "0000:06:0d.0", 12), 12);
	close(fd);
	CHECK_EQ(group_flags(group), 0);
	dir = open(".", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "bind", O_WRONLY);
	CHECK_EQ(write(fd, "0000:06:0d.0", 12), 12);
	close(fd);
	close(dir);
	CHECK_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
	CHECK_OK(chdir("/"));
	close(group);
}

static void *in_thread(void *arg)
{
	for (int i = 0; i < 20; i++)
		if (chdir(i % 2 ? DEVICE : "/dev/vfio"))
			*(int *)arg += 1;
	return NULL;
}

static void check_others(void)
{
	pthread_t threads[4];
	int failed = 0;
	pid_t pid;

	check_topic = "a child";
	CHECK_OK(chdir(DEVICE));
	pid = fork_child();
	if (!pid) {
		CHECK(is_in(REAL));
		CHECK_OK(chdir("/dev/vfio"));
		exit(0);
	}
	CHECK_EQ(reap(pid), 0);
	CHECK(is_in(REAL));

	check_topic = "threads";
	for (int i = 0; i < 4; i++)
		NEED(pthread_create(&threads[i], NULL, in_thread, &failed) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(failed, 0);
	CHECK_OK(chdir("/"));
}

static void check_links(void)
{
	char path[64], text[64] = { 0 };
	int group = open_group(), device = get_device(group), copy, dir;
	struct stat s;

	check_topic = "/proc/self/fd";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", group);
	CHECK(readlink(path, text, sizeof(text) - 1) > 0);
	CHECK(!strcmp(text, "/dev/vfio/pci:240"));
	CHECK_OK(stat(path, &s));
	CHECK(S_ISCHR(s.st_mode));
	copy = open(path, O_RDWR | O_CLOEXEC);
	CHECK(copy > device);
	CHECK_EQ(group_flags(copy) & VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_VIABLE);
	close(group);
	close(device);
	snprintf(path, sizeof(path), "/dev/fd/%d", copy);
	group = open(path, O_RDWR);
	CHECK(group >= 0);
	close(copy);
	device = get_device(group);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), device);
	CHECK_ERR(open(path, O_RDWR), ENXIO);
	memset(text, 0, sizeof(text));
	CHECK(readlink(path, text, sizeof(text) - 1) > 0);
	CHECK(!strcmp(text, "anon_inode:[vfio-device]"));
	close(device);
	dir = open(DEVICE, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	memset(text, 0, sizeof(text));
	CHECK(readlink(path, text, sizeof(text) - 1) > 0);
	CHECK(!strcmp(text, REAL));
	close(dir);
	close(group);
}

static void check_owners(void)
{
	int dir = open("/dev/vfio", O_RDONLY | O_DIRECTORY);
	struct stat s;

	check_topic = "chmod and chown from a directory";
	CHECK_OK(fchmodat(dir, "pci:240", 0600, 0));
	CHECK_OK(stat("/dev/vfio/pci:240", &s));
	CHECK_EQ(s.st_mode & 0777, 0600);
	CHECK_OK(fchmodat(dir, "pci:240", 0660, 0));
	CHECK_OK(fchownat(dir, "pci:240", geteuid(), -1, 0));
	if (geteuid())
		CHECK_ERR(fchownat(dir, "pci:240", 0, -1, 0), EPERM);
	close(dir);
}

int main(void)
{
	check_start(60);
	check_directories();
	check_writes();
	check_others();
	check_links();
	check_owners();
	return check_done();
}
