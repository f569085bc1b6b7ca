/*
 * Maps the registers of kit.c, by today's API: mapped_client
 * In group 7 of PCI, with parameter `flat: 1`. Accesses of 8 bytes come as two.
 */
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include </usr/include/linux/vfio.h>

#include "kit.h"

int main(void)
{
	int container, group, device;
	volatile uint8_t *registers;

	check_start(30);
	check_topic = "open";
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open("/dev/vfio/7", O_RDWR);
	CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
	CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:07.0");
	CHECK(device >= 0);
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	CHECK(registers != MAP_FAILED);

	check_topic = "widths";
	CHECK(*(volatile uint8_t *)(registers + KIT_ACCESS) == 1);
	CHECK(*(volatile uint16_t *)(registers + KIT_ACCESS) == 2);
	CHECK(*(volatile uint32_t *)(registers + KIT_ACCESS) == 4);
	/* what is behind it reads as ones */
	CHECK(*(volatile uint64_t *)(registers + KIT_ACCESS) == (~0ULL << 32 | 4));
	*(volatile uint64_t *)(registers + KIT_SCRATCH) = 0x11223344;
	CHECK(*(volatile uint32_t *)(registers + KIT_SCRATCH) == 0x11223344);
	return check_done();
}
