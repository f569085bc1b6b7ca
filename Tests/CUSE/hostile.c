/*
 * Clients that try what no driver does. The daemon must live, and answer others.
 */
#include "check.h"
#include "client.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static int alive(void)
{
	struct vfio_group_info info = { .argsz = sizeof(info) };
	int group = open("/dev/vfio/pci:240", O_RDWR);
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	int good = ioctl(group, VFIO_GROUP_GET_INFO, &info) == 0 && device >= 0;

	close(device);
	close(group);
	return good;
}

/* The mount of descriptors is a directory that anybody can open. */
static void directory(void)
{
	int dir = open("/run/vfio-cused/files", O_RDONLY | O_DIRECTORY);
	char byte;

	check_topic = "the mount's directory";
	CHECK(dir >= 0);
	for (unsigned n = 0x64; n <= 0x72; n++)
		CHECK_ERR(ioctl(dir, 0x3b00 + n, &byte), ENOTTY);
	CHECK(read(dir, &byte, 1) < 0);
	CHECK(open("/run/vfio-cused/files/2", O_RDWR) < 0);
	CHECK(alive());
}

/* ioctl(group, GET_IOMMU_FD) with any stack pointer. */
static long with_stack_at(unsigned long rsp, int group)
{
	long result;

	__asm__ volatile("mov %%rsp, %%r12\n\t"
			 "mov %[rsp], %%rsp\n\t"
			 "syscall\n\t"
			 "mov %%r12, %%rsp"
			 : "=a"(result)
			 : "a"((long)SYS_ioctl), "D"((long)group), "S"((long)VFIO_GROUP_GET_IOMMU_FD),
			   "d"(0L), [rsp] "r"(rsp)
			 : "rcx", "r11", "r12", "memory");
	return result;
}

static void stacks(void)
{
	static const unsigned long pointers[] = { 0, 1, 64, 127, 0x1000, 1UL << 63, -1UL, -8UL };
	int group = open("/dev/vfio/pci:240", O_RDWR);

	check_topic = "a stack pointer that leads nowhere";
	for (unsigned i = 0; i < sizeof(pointers) / sizeof(*pointers); i++)
		CHECK(with_stack_at(pointers[i], group) == -EFAULT);
	close(group);
	CHECK(alive());
}

int main(void)
{
	check_start(100);
	directory();
	stacks();
	return check_done();
}
