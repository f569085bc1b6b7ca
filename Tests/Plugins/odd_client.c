/* What a client sees of a bus driver that does what it should not: odd.c. */
#include "check.h"
#include "client.h"
#include "odd.h"

static int get(int group, const char *name)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static void answers(int device)
{
	unsigned char bytes[64];
	uint64_t number = 21;
	size_t i;

	check_topic = "read";
	memset(bytes, 0xee, sizeof(bytes));
	CHECK_EQ(pread(device, bytes, 64, ODD_PLAIN), 64);
	for (i = 0; i < 64 && !bytes[i]; i++)
		;
	CHECK_EQ(i, 64);	/* what it left out is zeros */
	CHECK_EQ(pread(device, bytes, 64, ODD_FILLS), 64);
	CHECK_EQ(bytes[63], 0x5a);
	CHECK_ERR(pread(device, bytes, 8, ODD_ONE_MORE), EIO);
	CHECK_ERR(pread(device, bytes, 8, ODD_MOST), EIO);
	CHECK_ERR(pread(device, bytes, 8, ODD_LEAST), EIO);
	CHECK_ERR(pread(device, bytes, 8, ODD_NO_ERRNO), EIO);
	CHECK_ERR(pread(device, bytes, 8, ODD_EAGAIN), EAGAIN);
	check_topic = "write";
	CHECK_EQ(pwrite(device, bytes, 64, ODD_PLAIN), 64);
	CHECK_ERR(pwrite(device, bytes, 8, ODD_ONE_MORE), EIO);
	CHECK_ERR(pwrite(device, bytes, 8, ODD_MOST), EIO);
	CHECK_ERR(pwrite(device, bytes, 8, ODD_LEAST), EIO);
	CHECK_ERR(pwrite(device, bytes, 8, ODD_NO_ERRNO), EIO);
	check_topic = "ioctl";
	CHECK_ERR(ioctl(device, ODD_RETURN_MORE), EIO);
	CHECK_ERR(ioctl(device, ODD_RETURN_LEAST), EIO);
	CHECK_ERR(ioctl(device, ODD_RETURN_NO_ERRNO), EIO);
	CHECK_EQ(ioctl(device, ODD_RETURN_42), 42);
	CHECK_ERR(ioctl(device, ODD_UNKNOWN), ENOTTY);
	CHECK_ERR(ioctl(device, VFIO_DEVICE_RESET), ENOTTY);
	check_topic = "the client's memory";
	CHECK_OK(ioctl(device, ODD_COPY, &number));
	CHECK_EQ(number, 42);
	CHECK_ERR(ioctl(device, ODD_COPY, 8), EFAULT);
	CHECK_EQ(ioctl(device, ODD_COPY_NOTHING, &number), 1);
	CHECK_EQ(ioctl(device, ODD_COPY_ELSEWHERE, &number), 1);
	check_topic = "waiting in a callback";
	CHECK_EQ(ioctl(device, ODD_WAIT_IN_CALLBACK), 1);
}

static void opens(int group)
{
	int bare;
	char byte = 0;

	check_topic = "open";
	CHECK_ERR(get(group, "odd-positive"), EIO);
	CHECK_ERR(get(group, "odd-no-errno"), EIO);
	CHECK_ERR(get(group, "odd-busy"), EBUSY);
	CHECK_ERR(get(group, "none"), ENODEV);
	check_topic = "no callback at all";
	CHECK_OK(bare = get(group, "odd-bare"));
	CHECK_ERR(pread(bare, &byte, 1, 0), EINVAL);
	CHECK_ERR(pwrite(bare, &byte, 1, 0), EINVAL);
	CHECK_ERR(ioctl(bare, VFIO_DEVICE_RESET), ENOTTY);
	close(bare);
}

static void hot_plug(int group, int device)
{
	int late;

	check_topic = "hot-plug";
	CHECK_EQ(ioctl(device, ODD_HOT_ADD), 1);
	CHECK_OK(late = get(group, "odd-late"));
	close(late);
	CHECK_OK(ioctl(device, ODD_HOT_ADD_UNCLAIMED));
	CHECK_EQ(group_flags(group) & VFIO_GROUP_FLAGS_VIABLE, 0);
	CHECK_ERR(get(group, "odd-late"), EBUSY);
	CHECK_OK(ioctl(device, ODD_DELETE_UNCLAIMED));
}

/* The unbind of a device in use waits until it is closed. */
static void leaving(int device)
{
	int group, left, same;

	check_topic = "unbind";
	NEED((group = open("/dev/vfio/odd:1", O_RDWR)) >= 0);
	NEED((left = get(group, "odd-leaving")) >= 0);
	CHECK_OK(ioctl(device, ODD_LEAVE));
	CHECK_OK(same = get(group, "odd-leaving"));
	close(same);
	close(left);
	CHECK_EQ(ioctl(device, ODD_LEFT), 1);
	CHECK_ERR(get(group, "odd-leaving"), ENODEV);
	close(group);
}

/* Devices that come and go while clients open and read them. */
static void churn(int device)
{
	int group, opened = 0;
	pid_t other;
	char byte;

	check_topic = "coming and going";
	CHECK_OK(ioctl(device, ODD_CHURN));
	other = fork_child();
	while (opened >= 0 && opened < 50) {
		int churned;

		group = open("/dev/vfio/odd:2", O_RDWR);
		if (group < 0)
			continue;
		churned = get(group, "odd-churn");
		if (churned >= 0) {
			opened++;
			if (pread(churned, &byte, 1, 0) != 1 || byte != 'o')
				opened = -1000;
			close(churned);
		}
		close(group);
	}
	if (!other)
		_exit(opened < 0);
	CHECK_EQ(opened, 50);
	CHECK_EQ(reap(other), 0);
	CHECK_EQ(ioctl(device, ODD_CHURNED), 0);
}

int main(void)
{
	int group, device;

	check_start(40);
	check_topic = "start";
	NEED((group = open("/dev/vfio/odd:0", O_RDWR)) >= 0);
	NEED((device = get(group, "odd")) >= 0);
	answers(device);
	opens(group);
	leaving(device);
	hot_plug(group, device);
	churn(device);
	close(device);
	close(group);
	return check_done();
}
