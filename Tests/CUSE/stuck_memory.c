/*
 * A hostile client: its ioctl arguments lie in a mapping of a FUSE file of its
 * own that never answers a read. It may hang itself, not the daemon: others are
 * served meanwhile, and it can be killed.
 */
#define FUSE_USE_VERSION 314
#include "check.h"
#include "client.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define STUCK 12 /* more than the daemon has threads to begin with */

static const char *dir = "/tmp/stuck";

static void fs_attr(struct stat *st, fuse_ino_t ino)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666;
	st->st_nlink = 1;
	st->st_size = 1 << 20;
}

static void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = 2, .attr_timeout = 1000, .entry_timeout = 1000 };

	(void)parent;
	(void)name;
	fs_attr(&e.attr, 2);
	fuse_reply_entry(req, &e);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fs_attr(&st, ino);
	fuse_reply_attr(req, &st, 1000);
}

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_open(req, fi);
}

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)req;
	(void)ino;
	(void)size;
	(void)off;
	(void)fi;
	/* no answer, ever */
}

static const struct fuse_lowlevel_ops fs = {
	.lookup = fs_lookup,
	.getattr = fs_getattr,
	.open = fs_open,
	.read = fs_read,
};

static void serve_stuck_file(int ready)
{
	char *argv[] = { "stuck", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *se = fuse_session_new(&args, &fs, sizeof(fs), NULL);

	if (!se || fuse_session_mount(se, dir))
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	fuse_session_loop(se);
	_exit(0);
}

static void *hang(void *page)
{
	int group = open("/dev/vfio/pci:240", O_RDWR);

	ioctl(group, VFIO_GROUP_GET_INFO, page);
	return NULL;
}

/* The victim of its own trick. */
static void hang_many(int ready)
{
	int fd = open("/tmp/stuck/file", O_RDWR);
	char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	pthread_t t;

	if (map == MAP_FAILED)
		_exit(1);
	for (int i = 0; i < STUCK; i++)
		pthread_create(&t, NULL, hang, map + i * 65536);
	sleep(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	pause();
}

static pid_t start(void (*body)(int))
{
	int p[2];
	char byte;
	pid_t pid;

	if (pipe(p))
		exit(2);
	pid = fork();
	if (pid == 0)
		body(p[1]);
	close(p[1]);
	CHECK(read(p[0], &byte, 1) == 1);
	close(p[0]);
	return pid;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(void)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };
	pid_t server, victim;
	int group, device, status;
	double before;

	check_start(250);
	check_topic = "memory that never answers";
	mkdir(dir, 0755);
	server = start(serve_stuck_file);
	victim = start(hang_many);

	before = seconds();
	group = open("/dev/vfio/pci:240", O_RDWR);
	CHECK(group >= 0);
	CHECK(ioctl(group, VFIO_GROUP_GET_INFO, &info) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	CHECK(device >= 0);
	close(device);
	/* The daemon brings in a thread every tenth of a second. */
	CHECK(seconds() - before < 60);

	kill(victim, SIGKILL);
	kill(server, SIGKILL);
	waitpid(server, &status, 0);
	umount2(dir, MNT_DETACH);
	CHECK(waitpid(victim, &status, 0) == victim);
	return check_done();
}
