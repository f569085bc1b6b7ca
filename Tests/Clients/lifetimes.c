/*
 * A device stays open, and its group in use, until the very last copy of its
 * descriptor is closed, wherever that copy is. Then the group is free at once.
 *
 * Itself, with arguments, is the program that inherits a descriptor by exec.
 */
#include "check.h"
#include "client.h"

#include <sys/socket.h>

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
	return check_done();
}
