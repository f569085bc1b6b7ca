/*
 * The interrupt requests of a device: every error rule that a single process
 * can see. That they come is for edu.c.
 */
#include "bad_arguments.h"

#include <sys/eventfd.h>

#define SET	VFIO_DEVICE_SET_IRQ_EVENTFDS
#define SET_UNMASK VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS
#define INTX	VFIO_PCI_INTX_IRQ_INDEX
#define MSI	VFIO_PCI_MSI_IRQ_INDEX
#define MSIX	VFIO_PCI_MSIX_IRQ_INDEX

/* The eventfds argument of one eventfd, to be spoilt. */
struct one_eventfd {
	uint32_t argsz, flags, index, count;
	int32_t fd;
};

static void check_eventfds_argument(int device, unsigned long request, int event)
{
	const struct one_eventfd good = {
		.argsz = sizeof(good), .index = INTX, .count = 1, .fd = event,
	};
	struct one_eventfd arg = good;
	char *page = page_before_hole();

	CHECK_ERR(with_header(device, request, &good, 20, 0, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 12, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 16, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 19, 0), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 20, 1), EINVAL);
	CHECK_ERR(with_header(device, request, &good, 20, 20, UNKNOWN_FLAG),
		  EINVAL);
	arg.index = VFIO_PCI_NUM_IRQS;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.index = UINT32_MAX;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg = good;
	arg.count = 2;
	arg.argsz = sizeof(arg) + 4;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.count = UINT32_MAX;		/* 16 + 4 * count wraps to 12 */
	arg.argsz = sizeof(arg);
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.count = 1u << 30;		/* and to 16 */
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg = good;
	arg.fd = STDOUT_FILENO;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.fd = device;
	CHECK_ERR(ioctl(device, request, &arg), EINVAL);
	arg.fd = closed_fd();
	CHECK_ERR(ioctl(device, request, &arg), EBADF);
	check_pointers(device, request, &good, sizeof(good), 0);
	/* The header can be read, the eventfd behind it cannot. */
	memcpy(page + PAGE - 16, &good, 16);
	CHECK_ERR(ioctl(device, request, page + PAGE - 16), EFAULT);
	munmap(page, 2 * PAGE);
}

static void check_set_irq(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);

	check_topic = "set irq argument";
	check_eventfds_argument(device, SET, event);

	check_topic = "set irq rules";
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_ERR(set_irq(device, MSIX, event), EINVAL);
	CHECK_ERR(set_eventfd(device, SET, MSI, 2, event), EINVAL);
	/* None of the refused ones has left INTx set. */
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_ERR(set_irq(device, INTX, event), EINVAL);
	CHECK_ERR(set_irq(device, INTX, other), EINVAL);
	CHECK_ERR(set_irq(device, MSI, other), EINVAL);
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_OK(clear_irq(device, INTX));
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_OK(set_irq(device, MSI, event));
	CHECK_ERR(set_irq(device, MSI, other), EINVAL);
	CHECK_ERR(set_irq(device, INTX, other), EINVAL);
	CHECK_ERR(clear_irq(device, INTX), EINVAL);
	CHECK_OK(clear_irq(device, MSI));
	CHECK_ERR(clear_irq(device, MSI), EINVAL);
	CHECK_OK(set_irq(device, INTX, other));
	CHECK_OK(clear_irq(device, INTX));
	note("INTx with eventfd -1: %s",
	     set_irq(device, INTX, -1) ? errno_name(errno) : "0");
	clear_irq(device, INTX);
	note("MSI with eventfd -1: %s",
	     set_irq(device, MSI, -1) ? errno_name(errno) : "0");
	clear_irq(device, MSI);

	/* The device holds its own reference to an eventfd. */
	check_topic = "eventfd closed while set";
	CHECK_OK(set_irq(device, INTX, other));
	close(other);
	CHECK_OK(clear_irq(device, INTX));
	close(event);
}

static void check_unmask(int device)
{
	int event = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	const struct vfio_unmask_irq good = {
		.argsz = sizeof(good), .index = INTX,
	};

	note("unmask while INTx is not set: %s",
	     unmask_irq(device, INTX, 0) ? errno_name(errno) : "0");
	note("unmask eventfd while INTx is not set: %s",
	     set_eventfd(device, SET_UNMASK, INTX, 1, unmask) ?
	     errno_name(errno) : "0");
	set_eventfd(device, SET_UNMASK, INTX, 0, -1);

	check_topic = "unmask irq";
	CHECK_OK(set_irq(device, INTX, event));
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_OK(unmask_irq(device, INTX, 0));
	CHECK_ERR(unmask_irq(device, INTX, 1), EINVAL);
	CHECK_ERR(unmask_irq(device, INTX, UINT32_MAX), EINVAL);
	CHECK_ERR(unmask_irq(device, MSI, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, MSIX, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, VFIO_PCI_NUM_IRQS, 0), EINVAL);
	CHECK_ERR(unmask_irq(device, UINT32_MAX, 0), EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 0, 0),
		  EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 15, 0),
		  EINVAL);
	CHECK_ERR(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 16,
			      UNKNOWN_FLAG), EINVAL);
	CHECK_OK(with_header(device, VFIO_DEVICE_UNMASK_IRQ, &good, 16, 64, 0));
	check_pointers(device, VFIO_DEVICE_UNMASK_IRQ, &good, sizeof(good), 0);

	check_topic = "set unmask irq argument";
	check_eventfds_argument(device, SET_UNMASK, unmask);
	check_topic = "set unmask irq rules";
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSI, 1, unmask), EINVAL);
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSIX, 1, unmask), EINVAL);
	CHECK_ERR(set_eventfd(device, SET_UNMASK, MSI, 0, -1), EINVAL);
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 1, unmask));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 0, -1));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 1, unmask));
	CHECK_OK(set_eventfd(device, SET_UNMASK, INTX, 0, -1));
	CHECK_OK(clear_irq(device, INTX));

	/* Nothing was asserted, so nothing has fired. */
	check_topic = "no interrupt out of nowhere";
	CHECK_ERR(read(event, &(uint64_t){ 0 }, 8), EAGAIN);
	close(event);
	close(unmask);
}

int main(void)
{
	int group, device;

	check_start(60);
	group = open_group();
	device = get_device(group);
	NEED(device >= 0);
	CHECK_EQ(ioctl(device, VFIO_DEVICE_RESET), 0);
	check_set_irq(device);
	check_unmask(device);
	return check_done();
}
