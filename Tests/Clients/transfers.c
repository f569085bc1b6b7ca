/*
 * read, write and their relatives on a device descriptor, whatever its number
 * and however it came about: the same as pread at the file position, which
 * copies share. Where a call is not seen, it gives nothing rather than
 * something wrong.
 */
#include "check.h"
#include "client.h"

#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define CONFIG		region_at(VFIO_PCI_CONFIG_REGION_INDEX, 0)
#define CONFIG_SIZE	256
#define TAR_RECORD	10240

static unsigned char config[CONFIG_SIZE];

static int is_config(const unsigned char *bytes, size_t count)
{
	return !memcmp(bytes, config, count);
}

/* Reads of all kinds from `fd`, most bytes at once. */
static void check_reads(int fd, size_t most)
{
	unsigned char bytes[CONFIG_SIZE] = { 0 }, more[CONFIG_SIZE] = { 0 };
	struct iovec parts[3] = {
		{ bytes, 3 }, { bytes + 3, 61 }, { bytes + 64, CONFIG_SIZE - 64 },
	};

	for (size_t size = 2; size <= most; size *= 2) {
		CHECK_EQ(lseek(fd, CONFIG, SEEK_SET), CONFIG);
		memset(bytes, 0, sizeof(bytes));
		CHECK_EQ(read(fd, bytes, size), (ssize_t)size);
		CHECK(is_config(bytes, size));
		CHECK_EQ(lseek(fd, 0, SEEK_CUR), CONFIG + (off_t)size);
	}
	memset(bytes, 0, sizeof(bytes));
	CHECK_EQ(lseek(fd, CONFIG, SEEK_SET), CONFIG);
	CHECK_EQ(readv(fd, parts, 3), CONFIG_SIZE);
	CHECK(is_config(bytes, CONFIG_SIZE));
	CHECK_EQ(lseek(fd, -CONFIG_SIZE, SEEK_CUR), CONFIG);
	CHECK_EQ(preadv2(fd, &(struct iovec){ more, 64 }, 1, -1, 0), 64);
	CHECK(is_config(more, 64));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), CONFIG + 64);
	CHECK_EQ(pread(fd, more, CONFIG_SIZE, CONFIG), CONFIG_SIZE);
	CHECK(is_config(more, CONFIG_SIZE));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), CONFIG + 64);
}

static void check_writes(int device)
{
	uint32_t value = 0x01020304, inverted = 0;
	struct iovec part = { &value, 4 };

	check_topic = "write";
	CHECK_EQ(lseek(device, 4, SEEK_SET), 4);
	CHECK_EQ(write(device, &value, 4), 4);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 8);
	CHECK_EQ(bar_read(device, 4), ~value);
	value = 0x11111111;
	CHECK_EQ(lseek(device, 4, SEEK_SET), 4);
	CHECK_EQ(writev(device, &part, 1), 4);
	CHECK_EQ(lseek(device, -4, SEEK_CUR), 4);
	part.iov_base = &inverted;
	CHECK_EQ(readv(device, &part, 1), 4);
	CHECK_EQ(inverted, ~value);
	CHECK_ERR(syscall(SYS_writev, device, 8, 1), EFAULT);
	CHECK_ERR(syscall(SYS_writev, device, &part, 1025), EINVAL);
	CHECK_ERR(syscall(SYS_pwrite64, device, &value, SIZE_MAX, 4), EINVAL);
	CHECK_ERR(syscall(SYS_pread64, device, &value, SIZE_MAX, 4), EINVAL);
}

static void check_positions(int device)
{
	uint32_t id = 0;

	check_topic = "lseek";
	CHECK_EQ(lseek(device, 1234, SEEK_SET), 1234);
	CHECK_ERR(lseek(device, -1235, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(device, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(device, 0, 77), EINVAL);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 1234);
	CHECK_EQ(lseek(device, INT64_MAX, SEEK_SET), INT64_MAX);
	CHECK_ERR(lseek(device, 1, SEEK_CUR), EINVAL);
	CHECK_EQ(lseek(device, 0, SEEK_SET), 0);
	CHECK_EQ(read(device, &id, 4), 4);
	CHECK_EQ(id, EDU_ID);
}

static void check_copies(int group)
{
	int device = get_device(group), second = get_device(group), copy;
	pid_t pid;

	check_topic = "reads";
	CHECK_EQ(pread(device, config, CONFIG_SIZE, CONFIG), CONFIG_SIZE);
	CHECK_EQ(config[0], 0x34);
	check_reads(device, CONFIG_SIZE);

	check_topic = "reads by another open";
	CHECK_EQ(lseek(device, 77, SEEK_SET), 77);
	check_reads(second, CONFIG_SIZE);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 77);

	check_topic = "reads by a copy";
	copy = dup(device);
	check_reads(copy, CONFIG_SIZE);
	CHECK_EQ(lseek(copy, 99, SEEK_SET), 99);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), 99);
	close(copy);
	CHECK_EQ(dup2(device, 900), 900);
	check_reads(900, CONFIG_SIZE);
	close(900);
	copy = fcntl(device, F_DUPFD_CLOEXEC, 500);
	check_reads(copy, CONFIG_SIZE);
	close(copy);

	check_topic = "reads by standard input";
	CHECK_EQ(dup2(device, STDIN_FILENO), STDIN_FILENO);
	check_reads(STDIN_FILENO, 8);
	close(STDIN_FILENO);

	check_topic = "reads by a child";
	CHECK_EQ(lseek(device, 5, SEEK_SET), 5);
	pid = fork_child();
	if (!pid) {
		CHECK_EQ(lseek(device, 0, SEEK_CUR), 5);
		check_reads(device, CONFIG_SIZE);
		exit(0);
	}
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(lseek(device, 0, SEEK_CUR), CONFIG + 64);

	check_writes(device);
	check_positions(device);
	close(device);
	close(second);
}

/* As many bytes as no register file has: right, or none for the one size that the filter lets pass. */
static void check_large(int group)
{
	static unsigned char bytes[262144];
	int first = get_device(group), device = fcntl(first, F_DUPFD_CLOEXEC, 3), pipes[2];
	static const size_t sizes[] = { 512, 4096, 4097, 8192, 10239, 10241, 65535, 65536, sizeof(bytes) };
	off_t from = CONFIG;
	ssize_t count;

	check_topic = "large transfers";
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		lseek(device, CONFIG, SEEK_SET);
		memset(bytes, 0, CONFIG_SIZE);
		CHECK_EQ(read(device, bytes, sizes[i]), CONFIG_SIZE);
		CHECK(is_config(bytes, CONFIG_SIZE));
		CHECK_EQ(lseek(device, 0, SEEK_CUR), CONFIG + CONFIG_SIZE);
		/* Of a BAR it is as if it were read word by word. */
		lseek(device, 0, SEEK_SET);
		count = read(device, bytes, sizes[i]);
		CHECK_EQ(count, (ssize_t)sizes[i]);
		CHECK_EQ(*(uint32_t *)bytes, EDU_ID);
	}
	lseek(device, CONFIG, SEEK_SET);
	count = read(device, bytes, TAR_RECORD);
	CHECK(count == 0 || (count == CONFIG_SIZE && is_config(bytes, count)));
	lseek(device, 0, SEEK_SET);
	CHECK(write(device, bytes, TAR_RECORD) < 0);
	lseek(device, region_at(VFIO_PCI_CONFIG_REGION_INDEX + 1, 0), SEEK_SET);
	CHECK_ERR(write(device, bytes, sizeof(bytes)), EINVAL);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	NEED(pipe(pipes) == 0);
	CHECK_ERR(sendfile(pipes[1], device, NULL, 256), EINVAL);
	CHECK_ERR(sendfile(pipes[1], device, &from, 256), EINVAL);
	CHECK_ERR(splice(device, &from, pipes[1], NULL, 256, 0), EINVAL);
	CHECK_ERR(splice(pipes[0], NULL, device, &from, 256, 0), EINVAL);
	CHECK_ERR(copy_file_range(device, &from, group, NULL, 256, 0), EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	close(first);
	close(device);
}

static int refuses(int device, int flags, off_t offset, size_t size)
{
	errno = 0;
	return mmap(NULL, size, PROT_READ, flags, device, offset) == MAP_FAILED &&
		errno == EINVAL;
}

/* Nothing of this device is memory. */
static void check_mappings(int group)
{
	int device = get_device(group);

	check_topic = "mmap";
	for (unsigned int i = 0; i <= VFIO_PCI_CONFIG_REGION_INDEX; i++) {
		CHECK(refuses(device, MAP_SHARED, region_at(i, 0), PAGE));
		CHECK(refuses(device, MAP_PRIVATE, region_at(i, 0), PAGE));
	}
	CHECK(refuses(device, MAP_SHARED, region_at(0, EDU_BAR_SIZE), PAGE));
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, group, 0), ENODEV);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, group, 0), ENODEV);
	close(device);
}

int main(void)
{
	int group;

	check_start(60);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_copies(group);
	check_large(group);
	check_mappings(group);
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
