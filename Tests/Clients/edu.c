/*
 * A driver for QEMU's edu device: registers, the factorial unit, both kinds of
 * interrupt, reset.
 */
#include "edu.h"

/* ------------------------------------------------------------ registers */

static void check_registers(int device)
{
	check_topic = "identification";
	CHECK_EQ(bar_read(device, ID), EDU_ID);
	CHECK_OK(bar_write(device, ID, 0));
	CHECK_EQ(bar_read(device, ID), EDU_ID);

	check_topic = "liveness";
	CHECK_OK(bar_write(device, LIVENESS, 0x12345678));
	CHECK_EQ(bar_read(device, LIVENESS), 0xedcba987);
	CHECK_OK(bar_write(device, LIVENESS, 0));
	CHECK_EQ(bar_read(device, LIVENESS), 0xffffffff);
}

static uint32_t factorial(int device, uint32_t n)
{
	if (bar_write(device, FACTORIAL, n) ||
	    !wait_clear(device, STATUS, STATUS_COMPUTING))
		return 0;
	return bar_read(device, FACTORIAL);
}

static void check_factorial(int device)
{
	check_topic = "factorial";
	CHECK_EQ(factorial(device, 0), 1);
	CHECK_EQ(factorial(device, 1), 1);
	CHECK_EQ(factorial(device, 10), 3628800);
	CHECK_EQ(factorial(device, 12), 479001600);
	CHECK_EQ(factorial(device, 13), 1932053504);	/* modulo 2^32 */
	CHECK_EQ(factorial(device, 20), 0x82b40000);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0);
}

static void check_reset(int group, int device)
{
	int again;

	check_topic = "registers survive close and open";
	CHECK_OK(bar_write(device, LIVENESS, 0x600dcafe));
	again = get_device(group);
	CHECK_EQ(bar_read(again, LIVENESS), ~0x600dcafeu);
	close(again);
	CHECK_EQ(bar_read(device, LIVENESS), ~0x600dcafeu);

	check_topic = "reset";
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, DMA_SOURCE, 0x1000));
	CHECK_OK(bar_write(device, DMA_COUNT, 0x100));
	CHECK_EQ(bar_read(device, STATUS), STATUS_WANT_IRQ);
	CHECK_EQ(bar_read(device, DMA_SOURCE), 0x1000);
	CHECK_EQ(bar_read(device, DMA_COUNT), 0x100);
	CHECK_OK(bar_write(device, IRQ_RAISE, 0x10));
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0x10);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));
	CHECK_EQ(bar_read(device, ID), EDU_ID);
	CHECK_EQ(bar_read(device, LIVENESS), 0);
	CHECK_EQ(bar_read(device, STATUS), 0);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 0);
	CHECK_EQ(bar_read(device, DMA_SOURCE), 0);
	CHECK_EQ(bar_read(device, DMA_COUNT), 0);
	CHECK_EQ(bar_read(device, DMA_COMMAND) & DMA_START, 0);
}

static void check_sibling(int group, int device)
{
	int sibling = ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			    second_device_name());

	check_topic = "the other function";
	CHECK(sibling >= 0);
	CHECK_EQ(bar_read(sibling, ID), EDU_ID);
	CHECK_OK(bar_write(device, LIVENESS, 1));
	CHECK_OK(bar_write(sibling, LIVENESS, 2));
	CHECK_EQ(bar_read(device, LIVENESS), ~1u);
	CHECK_EQ(bar_read(sibling, LIVENESS), ~2u);
	CHECK_OK(ioctl(sibling, VFIO_DEVICE_RESET));
	CHECK_EQ(bar_read(device, LIVENESS), ~1u);
	close(sibling);
}

/* ----------------------------------------------------------- interrupts */

static void check_intx(int device)
{
	int event = eventfd(0, EFD_NONBLOCK);

	check_topic = "INTx and the factorial";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, FACTORIAL, 10));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), IRQ_FACTORIAL);
	CHECK_EQ(bar_read(device, FACTORIAL), 3628800);
	acknowledge(device, IRQ_FACTORIAL);
	CHECK_OK(bar_write(device, STATUS, 0));

	check_topic = "INTx is masked until it is unmasked";
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	QUIET(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 2);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);			/* the line was asserted meanwhile */

	check_topic = "INTx is still asserted at unmask";
	QUIET(event);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 2);
	CHECK_OK(unmask_irq(device, INTX, 0));
	QUIET(event);

	check_topic = "INTx when it is not masked";
	CHECK_OK(bar_write(device, IRQ_RAISE, 4));
	FIRES(event);
	acknowledge(device, 4);
	CHECK_OK(unmask_irq(device, INTX, 0));

	check_topic = "INTx stays asserted until all bits are acknowledged";
	CHECK_OK(bar_write(device, IRQ_RAISE, 0x30));
	FIRES(event);
	acknowledge(device, 0x10);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 0x20);
	CHECK_OK(unmask_irq(device, INTX, 0));
	QUIET(event);

	check_topic = "INTx after it is cleared";
	CHECK_OK(clear_irq(device, INTX));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);
	close(event);
}

static void check_unmask_eventfd(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);

	check_topic = "INTx unmasked by eventfd";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(set_eventfd(device, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS, INTX,
			     1, unmask));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	QUIET(event);
	for (int i = 0; i < 3; i++) {	/* still asserted each time */
		CHECK_OK(eventfd_write(unmask, 1));
		FIRES(event);
	}
	acknowledge(device, 1);
	CHECK_OK(eventfd_write(unmask, 1));
	QUIET(event);
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	FIRES(event);
	acknowledge(device, 2);

	check_topic = "INTx unmask eventfd removed";
	CHECK_OK(set_eventfd(device, VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS, INTX,
			     0, -1));
	CHECK_OK(bar_write(device, IRQ_RAISE, 4));
	CHECK_OK(eventfd_write(unmask, 1));
	QUIET(event);
	CHECK_OK(unmask_irq(device, INTX, 0));
	FIRES(event);
	acknowledge(device, 4);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
	close(unmask);
}

static void check_msi(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), intx = eventfd(0, EFD_NONBLOCK);

	check_topic = "MSI";
	set_bus_master(device, 1);
	CHECK_OK(set_irq(device, MSI, event));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	/* A message is an event, not a level: nothing masks it. */
	CHECK_OK(bar_write(device, IRQ_RAISE, 2));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), 3);
	acknowledge(device, 3);
	QUIET(event);

	check_topic = "MSI and the factorial";
	CHECK_OK(bar_write(device, STATUS, STATUS_WANT_IRQ));
	CHECK_OK(bar_write(device, FACTORIAL, 5));
	FIRES(event);
	CHECK_EQ(bar_read(device, IRQ_STATUS), IRQ_FACTORIAL);
	CHECK_EQ(bar_read(device, FACTORIAL), 120);
	CHECK_OK(bar_write(device, STATUS, 0));
	acknowledge(device, IRQ_FACTORIAL);

	check_topic = "MSI and INTx exclude each other";
	CHECK_ERR(set_irq(device, INTX, intx), EINVAL);
	CHECK_ERR(unmask_irq(device, MSI, 0), EINVAL);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	QUIET(intx);
	acknowledge(device, 1);

	check_topic = "MSI without bus mastering";
	set_bus_master(device, 0);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	set_bus_master(device, 1);
	QUIET(event);			/* lost, not pending */
	acknowledge(device, 1);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(event);
	acknowledge(device, 1);

	check_topic = "MSI after it is cleared";
	CHECK_OK(clear_irq(device, MSI));
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);

	check_topic = "INTx after MSI";
	CHECK_OK(set_irq(device, INTX, intx));
	CHECK_ERR(set_irq(device, MSI, event), EINVAL);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	FIRES(intx);
	acknowledge(device, 1);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
	close(intx);
}

/* Who opens the device next does not inherit the eventfds of who had it. */
static void check_closed_with_irq(int group)
{
	int event = eventfd(0, EFD_NONBLOCK);
	int device = get_device(group);

	check_topic = "closing the device clears its interrupts";
	CHECK_OK(set_irq(device, INTX, event));
	close(device);
	device = get_device(group);
	CHECK_OK(bar_write(device, IRQ_RAISE, 1));
	QUIET(event);
	acknowledge(device, 1);
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(clear_irq(device, INTX));
	close(device);
	close(event);
}

int main(void)
{
	int group, iommu, device;

	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	iommu = get_iommu(group);
	NEED(iommu >= 0);
	device = get_device(group);
	NEED(device >= 0);
	CHECK_OK(ioctl(device, VFIO_DEVICE_RESET));

	check_registers(device);
	check_factorial(device);
	check_reset(group, device);
	check_sibling(group, device);
	check_intx(device);
	check_unmask_eventfd(device);
	check_msi(device);
	close(device);
	check_closed_with_irq(group);
	close(iommu);
	check_topic = "end";
	CHECK_EQ(is_locked(group), 0);
	return check_done();
}
