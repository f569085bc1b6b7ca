/*
 * A device stays open, and its group in use, until the very last copy of its
 * descriptor is closed, wherever that copy is. Then the group is free at once.
 *
 * Itself, with arguments, is the program that inherits descriptors by exec.
 */
#include "check.h"
#include "client.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

/* The next permutation in order; 0 after the last. */
static int next_order(int *order, int count)
{
	int i = count - 2, j = count - 1, swap;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return 0;
	while (order[j] < order[i])
		j--;
	swap = order[i], order[i] = order[j], order[j] = swap;
	for (i++, j = count - 1; i < j; i++, j--)
		swap = order[i], order[i] = order[j], order[j] = swap;
	return 1;
}

static int works(int device)
{
	return bar_read(device, 0) == EDU_ID;
}

static void check_dup(int group)
{
	int device = get_device(group), copy = dup(device), third;

	check_topic = "dup";
	CHECK(device >= 0 && copy >= 0);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	CHECK(works(copy));
	third = fcntl(copy, F_DUPFD_CLOEXEC, 100);
	close(copy);
	CHECK(works(third));
	CHECK_EQ(is_locked(group), 1);
	close(third);
	CHECK_EQ(is_locked(group), 0);

	check_topic = "dup2 over the last copy";
	device = get_device(group);
	CHECK_EQ(is_locked(group), 1);
	dup2(STDIN_FILENO, device);
	CHECK_EQ(is_locked(group), 0);
	close(device);

	check_topic = "dup of the iommu";
	device = get_iommu(group);
	copy = dup(device);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	CHECK_OK(unmap_dma(copy, 0, PAGE));
	close(copy);
	CHECK_EQ(is_locked(group), 0);
}

static void holder(int device, int to_parent, int from_parent, int close_it)
{
	int good = works(device);

	tell(to_parent);
	await(from_parent);
	good &= works(device);
	if (close_it) {
		close(device);
		tell(to_parent);
		await(from_parent);
	}
	_exit(good ? 0 : 1);
}

/* A child holds the last copy; it closes it, or it just exits. */
static void check_fork(int group, int close_it)
{
	int device = get_device(group), up[2], down[2];
	pid_t pid;

	check_topic = close_it ? "fork, the child closes" :
				 "fork, the child exits";
	NEED(pipe(up) == 0 && pipe(down) == 0);
	pid = fork_child();
	if (!pid)
		holder(device, up[1], down[0], close_it);
	CHECK(await(up[0]));
	close(device);
	CHECK_EQ(is_locked(group), 1);
	tell(down[1]);
	if (close_it) {
		CHECK(await(up[0]));
		CHECK_EQ(is_locked(group), 0);
		tell(down[1]);
	}
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(is_locked(group), 0);
	close(up[0]);
	close(up[1]);
	close(down[0]);
	close(down[1]);
}

static int send_fd(int socket, int fd)
{
	char byte = 0;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control.room, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char byte;
	int fd = -1;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control.room, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;

	if (recvmsg(socket, &message, 0) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static void check_in_flight(int group)
{
	int device = get_device(group), sockets[2];

	check_topic = "descriptor in a socket";
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	NEED(send_fd(sockets[0], device) == 0);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	sleep_us(50000);
	CHECK_EQ(is_locked(group), 1);
	device = receive_fd(sockets[1]);
	CHECK(device >= 0);
	CHECK(works(device));
	close(device);
	CHECK_EQ(is_locked(group), 0);

	check_topic = "descriptor in a socket that is closed";
	device = get_device(group);
	NEED(send_fd(sockets[0], device) == 0);
	close(device);
	CHECK_EQ(is_locked(group), 1);
	close(sockets[0]);
	close(sockets[1]);
	/* Nobody has closed a descriptor here, so allow it a moment. */
	CHECK(unlocked_after(group, 100000) >= 0);
}

/* Another process, another address space, gets the descriptor. */
static void check_passed_on(int group)
{
	int device = get_device(group), sockets[2];
	pid_t pid;

	check_topic = "descriptor sent to another process";
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	pid = fork_child();
	if (!pid) {
		int received;

		close(device);
		received = receive_fd(sockets[1]);
		CHECK(received >= 0);
		CHECK(works(received));
		tell(sockets[1]);
		await(sockets[1]);
		CHECK(works(received));
		close(received);
		tell(sockets[1]);
		await(sockets[1]);
		exit(0);
	}
	NEED(send_fd(sockets[0], device) == 0);
	close(device);
	CHECK(await(sockets[0]));
	CHECK_EQ(is_locked(group), 1);
	tell(sockets[0]);
	CHECK(await(sockets[0]));
	CHECK_EQ(is_locked(group), 0);
	tell(sockets[0]);
	CHECK_EQ(reap(pid), 0);
	close(sockets[0]);
	close(sockets[1]);
}

static void check_exec(int group)
{
	int device = get_device(group), up[2], down[2];
	char arguments[3][16];
	pid_t pid;

	check_topic = "exec with the descriptor";
	NEED(pipe(up) == 0 && pipe(down) == 0);
	snprintf(arguments[0], 16, "%d", device);
	snprintf(arguments[1], 16, "%d", up[1]);
	snprintf(arguments[2], 16, "%d", down[0]);
	pid = fork_child();
	if (!pid) {
		execl("/proc/self/exe", "lifetimes", arguments[0], arguments[1],
		      arguments[2], NULL);
		_exit(127);
	}
	close(up[1]);
	CHECK(await(up[0]));
	close(device);
	CHECK_EQ(is_locked(group), 1);
	tell(down[1]);
	CHECK(await(up[0]));	/* it has closed its copy */
	CHECK_EQ(is_locked(group), 0);
	tell(down[1]);
	CHECK_EQ(reap(pid), 0);
	close(up[0]);
	close(down[0]);
	close(down[1]);
}

/*
 * exec gives a new address space: what it inherits works, but its group is its
 * own only when the last descriptor from before is gone.
 */
static int executed(int group, int iommu, int device)
{
	struct vfio_iommu_info info = { .argsz = sizeof(info) };
	int own = open_group(), mine;

	check_topic = "after exec";
	CHECK(works(device));
	CHECK_OK(ioctl(iommu, VFIO_IOMMU_GET_INFO, &info));
	CHECK_EQ(is_locked(group), 1);
	CHECK_ERR(get_device(group), EPERM);
	CHECK_ERR(get_iommu(own), EPERM);
	close(iommu);
	CHECK_ERR(get_iommu(group), EPERM);
	close(device);
	CHECK_EQ(is_locked(own), 0);
	mine = get_device(group);
	CHECK(works(mine));
	return check_done();
}

static void check_exec_is_a_stranger(int group)
{
	int iommu = get_iommu(group), device = get_device(group);
	char arguments[3][16];
	pid_t pid;

	check_topic = "exec with all descriptors";
	snprintf(arguments[0], 16, "%d", group);
	snprintf(arguments[1], 16, "%d", iommu);
	snprintf(arguments[2], 16, "%d", device);
	pid = fork_child();
	if (!pid) {
		execl("/proc/self/exe", "lifetimes", "executed", arguments[0],
		      arguments[1], arguments[2], NULL);
		_exit(127);
	}
	close(iommu);
	close(device);
	CHECK_EQ(reap(pid), 0);
	CHECK_EQ(is_locked(group), 0);
}

/*
 * Which of a client's copies go is all the same: each order of its group, its
 * iommu, its device and a second copy of both.
 */
static void check_orders_of_copies(int watch)
{
	struct vfio_iommu_info info = { .argsz = sizeof(info) };
	int order[5] = { 0, 1, 2, 3, 4 }, orders = 0;

	check_topic = "orders of closing copies";
	check_quiet = 1;
	do {
		int group = open_group(), iommu = get_iommu(group);
		int device = get_device(group);
		int fds[5] = { group, iommu, device, dup(iommu), dup(device) };
		int left = 4;	/* descriptors that keep the owner */

		for (int step = 0; step < 5; step++) {
			int which = order[step];

			CHECK_EQ(close(fds[which]), 0);
			fds[which] = -1;
			left -= which != 0;
			CHECK_EQ(is_locked(watch), left > 0);
			for (int i = 1; i < 5; i++) {
				if (fds[i] < 0)
					continue;
				if (i % 2)
					CHECK_OK(ioctl(fds[i],
						       VFIO_IOMMU_GET_INFO,
						       &info));
				else
					CHECK(works(fds[i]));
			}
		}
		orders++;
	} while (next_order(order, 5));
	check_quiet = 0;
	CHECK_EQ(orders, 120);
}

/* The owner is an address space, and stays it when that is no more. */
static void check_owner_is_gone(int group)
{
	int sockets[2], device;
	pid_t pid;

	check_topic = "the owner is gone, its device is not";
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	pid = fork_child();
	if (!pid) {
		int mine = get_device(group);

		_exit(mine >= 0 && !send_fd(sockets[1], mine) ? 0 : 1);
	}
	CHECK_EQ(reap(pid), 0);
	device = receive_fd(sockets[0]);
	CHECK(works(device));
	CHECK_EQ(is_locked(group), 1);
	CHECK_ERR(get_iommu(group), EPERM);
	CHECK_ERR(get_device(group), EPERM);
	close(device);
	CHECK_EQ(is_locked(group), 0);
	device = get_device(group);
	CHECK(works(device));
	close(device);
	close(sockets[0]);
	close(sockets[1]);
}

/* exec closes what is marked for it; the group is free when it has begun. */
static void check_cloexec(int group)
{
	int device = get_device(group), up[2];
	pid_t pid;

	check_topic = "exec without the descriptor";
	NEED(pipe(up) == 0);
	CHECK_OK(fcntl(device, F_SETFD, FD_CLOEXEC));
	pid = fork_child();
	if (!pid) {
		dup2(up[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", "echo; read line", NULL);
		_exit(127);
	}
	close(device);
	close(up[1]);
	CHECK(await(up[0]));
	CHECK_EQ(is_locked(group), 0);
	kill(pid, SIGKILL);
	reap(pid);
	close(up[0]);
}

int main(int argc, char **argv)
{
	int group;

	if (argc == 5) {
		check_start(120);
		return executed(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	}
	if (argc == 4)
		holder(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), 1);
	check_start(120);
	check_topic = "open";
	group = open_group();
	NEED(group >= 0);
	check_dup(group);
	check_fork(group, 1);
	check_fork(group, 0);
	check_in_flight(group);
	check_passed_on(group);
	check_exec(group);
	check_cloexec(group);
	check_exec_is_a_stranger(group);
	check_orders_of_copies(group);
	check_owner_is_gone(group);
	return check_done();
}
