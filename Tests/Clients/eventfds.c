/*
 * An eventfd raises interrupts however many others were made, and closed or
 * kept, since then.
 */
#include "check.h"
#include "client.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#define KEPT	600
#define MADE	3000

int main(void)
{
	struct rlimit limit;
	int group, device, first, kept[KEPT];

	check_start(60);
	check_topic = "many eventfds";
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > KEPT + 100);
	group = open_group();
	device = get_device(group);
	NEED(group >= 0 && device >= 0);
	first = eventfd(0, EFD_CLOEXEC);
	check_quiet = 1;
	for (int i = 0; i < KEPT; i++)
		NEED((kept[i] = eventfd(0, 0)) >= 0);
	for (int i = 0; i < MADE; i++)
		close(eventfd(0, 0));
	check_quiet = 0;
	CHECK_OK(set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, first));
	CHECK_OK(clear_irq(device, VFIO_PCI_INTX_IRQ_INDEX));
	CHECK_OK(set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, kept[0]));
	CHECK_OK(clear_irq(device, VFIO_PCI_INTX_IRQ_INDEX));
	CHECK_OK(set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, kept[KEPT - 1]));
	CHECK_OK(clear_irq(device, VFIO_PCI_INTX_IRQ_INDEX));
	return check_done();
}
