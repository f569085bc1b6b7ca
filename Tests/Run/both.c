/*
 * A device that has registers and RAM, both mapped by today's API: registers act
 * at once, RAM is memory, and either mapping alone keeps the device open. Its
 * first open and last close reset it. Wants share/topologies/testdev.yaml.
 */
#include "../Clients/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>

enum { ID = 0, SCRATCH = 4, ADDRESS = 0x10, OFFSET = 0x18, LENGTH = 0x20, COMMAND = 0x28 };
enum { STATUS = 0x2c, RESETS = 0x38 };
enum { STORE = 2, DONE = 2 };
enum { RAM = 2, TABLE = 4 };
enum { THREADS = 4, ROUNDS = 100 };

#define RAM_SIZE (1ul << 20)
#define IOVA	0x100000

static int container, group, device;

static void open_device(void)
{
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/0", O_RDWR);
	CHECK(container >= 0 && group >= 0);
	CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
	CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
	CHECK(device >= 0);
}

static volatile unsigned *map(int region, size_t size)
{
	void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
			    (off_t)region << 40);

	if (mapped == MAP_FAILED) {
		CHECK(mapped != MAP_FAILED);
		_exit(check_done());
	}
	return mapped;
}

static int descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(all))
		n++;
	closedir(all);
	return n;
}

static unsigned config_word(int offset)
{
	unsigned short value = 0;

	CHECK(pread(device, &value, 2, (7LL << 40) + offset) == 2);
	return value;
}

static void check_regions(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };

	check_topic = "regions";
	for (int region = 0; region < 5; region++) {
		unsigned wanted = region == 0 || region == RAM || region == TABLE;

		info.index = region;
		info.argsz = sizeof(info);
		CHECK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0);
		CHECK(!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) == !wanted);
	}
}

static void check_both(void)
{
	int before = descriptors();
	volatile unsigned *registers = map(0, 4096), *ram = map(RAM, RAM_SIZE);
	volatile unsigned *table = map(TABLE, 8192), *again = map(0, 4096);
	unsigned *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_iommu_type1_dma_map dma = { .argsz = sizeof(dma), .flags = 3,
						.vaddr = (unsigned long)page, .iova = IOVA,
						.size = 4096 };
	unsigned short command = config_word(4) | 4;
	unsigned value = 0;

	check_topic = "both";
	CHECK(descriptors() == before);
	CHECK(registers[ID / 4] == 0x7e570001);
	registers[SCRATCH / 4] = 0x12345678;
	CHECK(again[SCRATCH / 4] == 0x12345678);
	CHECK(pread(device, &value, 4, SCRATCH) == 4 && value == 0x12345678);
	/* Vector 0 is masked, as nobody has asked for it. */
	CHECK(table[3] == 1);
	ram[0] = 0xabcdef01;
	ram[RAM_SIZE / 4 - 1] = 7;
	CHECK(pread(device, &value, 4, (off_t)RAM << 40) == 4 && value == 0xabcdef01);
	CHECK(__sync_fetch_and_add(&ram[1], 5) == 0 && ram[1] == 5);
	/* The device moves what is in its RAM to where its registers say. */
	CHECK(pwrite(device, &command, 2, (7LL << 40) + 4) == 2);
	CHECK(ioctl(container, VFIO_IOMMU_MAP_DMA, &dma) == 0);
	registers[ADDRESS / 4] = IOVA;
	registers[ADDRESS / 4 + 1] = 0;
	registers[OFFSET / 4] = 0;
	registers[OFFSET / 4 + 1] = 0;
	registers[LENGTH / 4] = 4;
	registers[COMMAND / 4] = STORE;
	while (registers[STATUS / 4] < DONE)
		;
	CHECK(registers[STATUS / 4] == DONE && page[0] == 0xabcdef01);
	CHECK(munmap((void *)registers, 4096) == 0);
	CHECK(again[ID / 4] == 0x7e570001);
	CHECK(munmap((void *)again, 4096) == 0 && munmap((void *)ram, RAM_SIZE) == 0 &&
	      munmap((void *)table, 8192) == 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, device, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, device, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 1LL << 40) == MAP_FAILED &&
	      errno == EINVAL);
	/* Where the caller says. */
	registers = mmap(page, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, device, 0);
	CHECK((void *)registers == (void *)page && registers[ID / 4] == 0x7e570001);
	CHECK(munmap((void *)registers, 4096) == 0);
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void *mapper(void *argument)
{
	unsigned long number = (unsigned long)argument, bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		volatile unsigned *registers = map(0, 4096), *ram = map(RAM, RAM_SIZE);

		ram[number] = i;
		bad += registers[ID / 4] != 0x7e570001 || ram[number] != (unsigned)i;
		munmap((void *)registers, 4096);
		munmap((void *)ram, RAM_SIZE);
	}
	return (void *)bad;
}

/* None gets what another has asked for; signals go on arriving. */
static void check_threads(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	pthread_t threads[THREADS];
	unsigned long bad = 0;
	void *result;

	check_topic = "threads";
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (unsigned long i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, mapper, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		bad += (unsigned long)result;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(bad == 0);
	CHECK(signals > 0);
}

/* A mapping alone keeps the device, for whoever has it. */
static void check_life(void)
{
	volatile unsigned *registers = map(0, 4096);
	unsigned resets = registers[RESETS / 4];
	int status = 0, again;
	pid_t child;

	check_topic = "life";
	registers[SCRATCH / 4] = 41;
	close(device);
	close(group);
	close(container);
	CHECK(registers[SCRATCH / 4] == 41);
	CHECK(open("/dev/vfio/0", O_RDWR) < 0 && errno == EBUSY);
	child = fork();
	if (child == 0) {
		registers[SCRATCH / 4] = 42;
		_exit(registers[ID / 4] != 0x7e570001);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(registers[SCRATCH / 4] == 42);
	CHECK(munmap((void *)registers, 4096) == 0);
	for (int i = 0; i < 1000 && (again = open("/dev/vfio/0", O_RDWR)) < 0; i++)
		usleep(1000);
	CHECK(again >= 0);
	close(again);
	/* Reset at the last close, and at the first open. */
	open_device();
	registers = map(0, 4096);
	CHECK(registers[SCRATCH / 4] == 0);
	CHECK(registers[RESETS / 4] == resets + 2);
	again = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0");
	CHECK(again >= 0 && registers[RESETS / 4] == resets + 2);
	close(again);
	CHECK(registers[RESETS / 4] == resets + 2);
}

/* By /sys: memory is mapped, ports are read and written. */
static void check_sysfs(void)
{
	static const char at[] = "/sys/bus/pci/devices/0000:01:00.0/";
	volatile unsigned *registers;
	unsigned value = 0;
	unsigned long wide = 0;
	char path[100];
	int file;

	check_topic = "resources";
	snprintf(path, sizeof(path), "%sresource0", at);
	file = open(path, O_RDWR);
	CHECK(file >= 0);
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(registers != MAP_FAILED);
	if (registers == MAP_FAILED)
		return;
	CHECK(registers[ID / 4] == 0x7e570001);
	registers[SCRATCH / 4] = 77;
	CHECK(pread(device, &value, 4, SCRATCH) == 4 && value == 77);
	CHECK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(pread(file, &value, 4, 0) == -1 && errno == EIO);
	CHECK(pread(file, &value, 4, 4096) == 0);
	close(file);
	CHECK(registers[SCRATCH / 4] == 77);
	CHECK(munmap((void *)registers, 4096) == 0);

	snprintf(path, sizeof(path), "%sresource2_wc", at);
	file = open(path, O_RDWR);
	registers = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(registers != MAP_FAILED);
	registers[2] = 99;
	CHECK(pread(device, &value, 4, ((off_t)RAM << 40) + 8) == 4 && value == 99);
	((volatile unsigned long *)registers)[2] = 0x123456789abcdef0;
	CHECK(pread(device, &wide, 8, ((off_t)RAM << 40) + 16) == 8 && wide == 0x123456789abcdef0);
	CHECK(((volatile unsigned long *)registers)[2] == wide);
	CHECK(munmap((void *)registers, RAM_SIZE) == 0);
	close(file);

	snprintf(path, sizeof(path), "%sresource1", at);
	file = open(path, O_RDONLY);
	CHECK(pread(file, &value, 4, ID) == 4 && value == 0x7e570001);
	CHECK(pread(file, &value, 3, ID) == -1 && errno == EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == ENODEV);
	close(file);
	file = open(path, O_RDWR);
	value = 78;
	CHECK(pwrite(file, &value, 4, SCRATCH) == 4);
	CHECK(pread(device, &value, 4, SCRATCH) == 4 && value == 78);
	close(file);
}

/* A process that maps registers is traced by us, and can go into an emulated directory still. */
static void check_chdir(void)
{
	volatile unsigned *registers = map(0, 4096);
	char path[200];

	check_topic = "chdir";
	CHECK(chdir("/sys/bus/pci/devices/0000:01:00.0") == 0);
	CHECK(getcwd(path, sizeof(path)) && strncmp(path, "/sys/", 5) == 0);
	CHECK(registers[ID / 4] == 0x7e570001);
	CHECK(chdir("/") == 0);
	CHECK(munmap((void *)registers, 4096) == 0);
}

int main(void)
{
	check_start(60);
	check_topic = "open";
	open_device();
	check_regions();
	check_both();
	check_threads();
	check_sysfs();
	check_chdir();
	check_life();
	return check_done();
}
