/*
 * Registers that are mapped, by today's API: each access acts at once, whoever
 * makes it, and the process is otherwise as it was. Wants edu as 0000:06:0d.0 in
 * group 240.
 */
#include "../Clients/check.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

enum { LIVENESS = 4, FACTORIAL = 8, STATUS = 0x20, DMA_SOURCE = 0x80 };
enum { THREADS = 4, ROUNDS = 500 };

static int device;
static volatile unsigned *registers;
static volatile sig_atomic_t signals;

#define REG(offset) registers[(offset) / 4]

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void open_device(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/240", O_RDWR);

	check_topic = "open";
	CHECK(container >= 0 && group >= 0);
	CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
	CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	CHECK(device >= 0);
	registers = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	CHECK(registers != MAP_FAILED);
}

static void check_accesses(void)
{
	unsigned value = 0;

	check_topic = "accesses";
	CHECK(REG(0) == 0x010000ed);
	REG(LIVENESS) = 0x12345678;
	CHECK(REG(LIVENESS) == ~0x12345678u);
	CHECK(pread(device, &value, 4, LIVENESS) == 4 && value == ~0x12345678u);
	REG(FACTORIAL) = 10;
	while (REG(STATUS) & 1)
		;
	CHECK(REG(FACTORIAL) == 3628800);
	/* Of 8 bytes, which this register takes. */
	*(volatile unsigned long *)&REG(DMA_SOURCE) = 0x1122334455667788;
	CHECK(*(volatile unsigned long *)&REG(DMA_SOURCE) == 0x1122334455667788);
}

static void *hammer(void *argument)
{
	unsigned long bad = 0;

	(void)argument;
	for (int i = 0; i < ROUNDS; i++)
		bad += REG(0) != 0x010000ed;
	return (void *)bad;
}

/* Signals go on arriving, once each, and no access is lost or repeated. */
static void check_threads_and_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	pthread_t threads[THREADS];
	unsigned long bad = 0;
	void *result;

	check_topic = "threads and signals";
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, hammer, NULL) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		bad += (unsigned long)result;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK(bad == 0);
	CHECK(signals > 0);
}

static void check_children(void)
{
	int status = 0;
	pid_t child;

	check_topic = "children";
	REG(LIVENESS) = 0;
	child = fork();
	if (child == 0) {
		/* Inherited, and the same device. */
		CHECK(REG(LIVENESS) == ~0u);
		REG(LIVENESS) = ~42u;
		_exit(7);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK(REG(LIVENESS) == 42);
	/* Another program is as it would be without us. */
	CHECK(system("exit 3") == 3 << 8);
	child = fork();
	if (child == 0) {
		raise(SIGSTOP);
		_exit(0);
	}
	CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) &&
	      WSTOPSIG(status) == SIGSTOP);
	kill(child, SIGCONT);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	child = fork();
	if (child == 0) {
		kill(getpid(), SIGTERM);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGTERM);
}

static sigjmp_buf back;

static void on_bus(int number)
{
	siglongjmp(back, number);
}

/* A SIGBUS that is the client's own reaches it. */
static void check_bus_errors(void)
{
	struct sigaction act = { .sa_handler = on_bus };
	unsigned short command = 0x0101;
	const off_t config = 7LL << 40;
	FILE *empty = tmpfile();
	volatile char *nothing = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0);

	check_topic = "bus errors";
	sigaction(SIGBUS, &act, NULL);
	if (sigsetjmp(back, 1) == 0) {
		CHECK(*nothing == 1 && 0);
	} else {
		CHECK(1);
	}
	CHECK(pwrite(device, &command, 2, config + 4) == 2);
	if (sigsetjmp(back, 1) == 0) {
		CHECK(REG(0) == 1 && 0);
	} else {
		CHECK(1);
	}
	command = 0x0103;
	CHECK(pwrite(device, &command, 2, config + 4) == 2);
	CHECK(REG(0) == 0x010000ed);
}

/* Moved, protected and unmapped as any memory. */
static void check_mapping(void)
{
	volatile unsigned *moved;

	check_topic = "mapping";
	moved = mremap((void *)registers, 1 << 20, 1 << 20, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (char *)registers + (64UL << 20));
	CHECK(moved != MAP_FAILED);
	registers = moved;
	CHECK(REG(0) == 0x010000ed);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, device, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 7LL << 40) == MAP_FAILED &&
	      errno == EINVAL);
	CHECK(munmap((void *)registers, 1 << 20) == 0);
}

/* Who traces us for the registers' sake takes us into a directory, too. */
static void check_directory(void)
{
	char text[64];
	int fd;

	check_topic = "chdir";
	CHECK(chdir("/sys/bus/pci/devices/0000:06:0d.0") == 0);
	CHECK(getcwd(text, sizeof(text)) && !strcmp(strrchr(text, '/'), "/0000:06:0d.0"));
	fd = open("vendor", O_RDONLY);
	CHECK(fd >= 0 && read(fd, text, sizeof(text)) == 7 && !memcmp(text, "0x1234\n", 7));
	close(fd);
	CHECK(REG(0) == 0x010000ed);
	CHECK(chdir("/dev/vfio") == 0 && access("pci:240", F_OK) == 0);
	CHECK(REG(0) == 0x010000ed);
	CHECK(chdir("/") == 0);
}

int main(void)
{
	check_start(60);
	open_device();
	if (registers == MAP_FAILED)
		return check_done();
	check_accesses();
	check_threads_and_signals();
	check_children();
	check_bus_errors();
	check_directory();
	check_mapping();
	return check_done();
}
