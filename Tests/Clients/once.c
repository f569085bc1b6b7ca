/*
 * Each call is carried out exactly once, whatever signals arrive: as many
 * interrupts come as were raised. A call that fails with EINTR was not.
 *
 * once [CALLS]
 */
#include "check.h"
#include "client.h"

#include <sys/eventfd.h>
#include <sys/time.h>

#define IRQ_RAISE 0x60

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void storm(long us, int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval timer = {
		.it_interval = { .tv_usec = us }, .it_value = { .tv_usec = us },
	};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void check_once(int device, int event, int calls, long us, int flags)
{
	int raised = 0, interrupted = 0, failed = 0;
	uint64_t fired = 0;

	alarms = 0;
	storm(us, flags);
	while (raised < calls && !failed) {
		if (bar_write(device, IRQ_RAISE, 1) == 0)
			raised++;
		else if (errno == EINTR)
			interrupted++;
		else
			failed = errno;
	}
	storm(0, flags);
	CHECK_EQ(failed, 0);
	CHECK_OK(read(event, &fired, sizeof(fired)));
	note("%s: %d calls, %d alarms, %d interrupted", check_topic, raised,
	     (int)alarms, interrupted);
	CHECK_EQ(fired, raised);
	CHECK(alarms > 0);
}

int main(int argc, char **argv)
{
	int calls = argc > 1 ? atoi(argv[1]) : 10000;
	int group, device, event = eventfd(0, EFD_NONBLOCK);

	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	device = get_device(group);
	NEED(device >= 0);
	/* bus master, for MSI */
	CHECK_OK(config_write(device, 4, 2, config_read(device, 4, 2) | 6));
	CHECK_OK(set_irq(device, VFIO_PCI_MSI_IRQ_INDEX, event));
	check_topic = "slow storm with SA_RESTART";
	check_once(device, event, calls, 3000, SA_RESTART);
	check_topic = "slow storm";
	check_once(device, event, calls, 3000, 0);
	check_topic = "fast storm with SA_RESTART";
	check_once(device, event, calls, 100, SA_RESTART);
	check_topic = "fast storm";
	check_once(device, event, calls, 100, 0);
	return check_done();
}
