/*
 * However a client ends and however far it had got, its group is free then and
 * has nothing left of it.
 */
#include "check.h"
#include "client.h"

#include <sys/eventfd.h>

/* How far a client gets before its end. */
enum stage {
	OPENED, IOMMU, MAPPED, DEVICE, INTERRUPT, TRANSFER, NO_GROUP, NO_IOMMU,
	STAGES
};

static void live(enum stage stage)
{
	int group = open_group(), iommu = -1, device;

	if (stage >= IOMMU)
		iommu = get_iommu(group);
	if (stage >= MAPPED)
		map_dma(iommu, MAP_RW, new_pages(1), 0, PAGE);
	if (stage < DEVICE)
		return;
	device = get_device(group);
	if (stage >= INTERRUPT)
		set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, eventfd(0, 0));
	if (stage >= TRANSFER) {
		config_write(device, 4, 2, 0x106);
		bar_write(device, 0x80, 0);
		bar_write(device, 0x88, 0x40000);
		bar_write(device, 0x90, 64);
		bar_write(device, 0x98, 1);
	}
	if (stage >= NO_GROUP)
		close(group);
	if (stage >= NO_IOMMU)
		close(iommu);
}

/* It is gone, however it went: the group is free, and nothing is left in it. */
static void check_death(int group, enum stage stage, int way)
{
	static const char *const ways[] = { "exit", "SIGKILL", "exec" };
	char topic[64], *memory = new_pages(1);
	int ready[2], iommu, device, event = eventfd(0, 0);
	pid_t pid;

	snprintf(topic, sizeof(topic), "%s at stage %d", ways[way], stage);
	check_topic = topic;
	NEED(pipe(ready) == 0);
	pid = fork_child();
	if (!pid) {
		close(group);
		live(stage);
		tell(ready[1]);
		if (way == 0)
			_exit(0);
		if (way == 2)
			execl("/bin/true", "true", NULL);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK(await(ready[0]));
	if (way == 1)
		kill(pid, SIGKILL);
	CHECK_EQ(reap(pid), way == 1 ? 1000 + SIGKILL : 0);
	/* It has closed nothing itself, so allow it a moment. */
	CHECK(unlocked_after(group, 1000000) >= 0);
	iommu = get_iommu(group);
	CHECK_OK(map_dma(iommu, MAP_RW, memory, 0, PAGE));
	device = get_device(group);
	CHECK_EQ(bar_read(device, 0), EDU_ID);
	CHECK_OK(set_irq(device, VFIO_PCI_INTX_IRQ_INDEX, event));
	close(device);
	close(iommu);
	CHECK_EQ(is_locked(group), 0);
	close(event);
	close(ready[0]);
	munmap(memory, PAGE);
}

static void check_deaths(int group)
{
	check_quiet = 1;
	for (int stage = OPENED; stage < STAGES; stage++)
		for (int way = 0; way < 3; way++)
			check_death(group, stage, way);
	check_quiet = 0;
	check_topic = "ends of a client";
	CHECK_EQ(is_locked(group), 0);
}

int main(void)
{
	int group;

	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_deaths(group);
	return check_done();
}
