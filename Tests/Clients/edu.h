/*
 * The registers of QEMU's edu device, and what each of its drivers does.
 */
#ifndef EDU_H
#define EDU_H

#include "check.h"
#include "client.h"

#include <poll.h>
#include <sys/eventfd.h>

enum {
	ID = 0x00,
	LIVENESS = 0x04,
	FACTORIAL = 0x08,
	STATUS = 0x20,
	IRQ_STATUS = 0x24,
	IRQ_RAISE = 0x60,
	IRQ_ACK = 0x64,
	DMA_SOURCE = 0x80,
	DMA_DESTINATION = 0x88,
	DMA_COUNT = 0x90,
	DMA_COMMAND = 0x98,
};

#define STATUS_COMPUTING	0x01u
#define STATUS_WANT_IRQ		0x80u
#define DMA_START		0x1u
#define DMA_TO_MEMORY		0x2u
#define DMA_WANT_IRQ		0x4u
#define IRQ_FACTORIAL		0x001u
#define IRQ_DMA			0x100u
#define BUFFER			0x40000u	/* the device's, one page */

#define COMMAND			0x04	/* in configuration space */
#define COMMAND_MEMORY		0x2u
#define COMMAND_MASTER		0x4u

#define INTX			VFIO_PCI_INTX_IRQ_INDEX
#define MSI			VFIO_PCI_MSI_IRQ_INDEX

#define DEADLINE_MS		10000	/* machines that run tests are slow */
#define QUIET_MS		300	/* three times what a transfer takes */

/* Polls until a register has no bit of mask; 0 when it never does. */
static inline int wait_clear(int device, uint32_t at, uint32_t mask)
{
	long long deadline = now_us() + DEADLINE_MS * 1000LL;

	while (now_us() < deadline) {
		uint32_t value = bar_read(device, at);

		if (!(value & mask))
			return 1;
		sleep_us(1000);
	}
	return 0;
}

static inline int wait_set(int device, uint32_t at, uint32_t mask)
{
	long long deadline = now_us() + DEADLINE_MS * 1000LL;

	while (now_us() < deadline) {
		if ((bar_read(device, at) & mask) == mask)
			return 1;
		sleep_us(1000);
	}
	return 0;
}

/* The counter of an eventfd, after waiting for it to be signalled; or 0. */
static inline uint64_t events(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&wait, 1, timeout_ms) != 1)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

#define FIRES(fd)	CHECK_EQ(events(fd, DEADLINE_MS), 1)
#define QUIET(fd)	CHECK_EQ(events(fd, QUIET_MS), 0)

static inline void set_bus_master(int device, int on)
{
	uint32_t command = config_read(device, COMMAND, 2) | COMMAND_MEMORY;

	command = on ? command | COMMAND_MASTER : command & ~COMMAND_MASTER;
	CHECK_EQ(config_write(device, COMMAND, 2, command), 0);
}

static inline void acknowledge(int device, uint32_t bits)
{
	CHECK_OK(bar_write(device, IRQ_ACK, bits));
	CHECK_EQ(bar_read(device, IRQ_STATUS) & bits, 0);
}

#endif /* EDU_H */
