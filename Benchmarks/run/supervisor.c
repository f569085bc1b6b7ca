/*
 * The least that a supervisor in C can do for the same calls: it takes the
 * call, tells by the inode that the descriptor is its own (/dev/null stands for
 * one), moves the same bytes of the caller's memory, answers. One thread, no
 * VFIO.
 *
 * supervisor PROGRAM [ARGUMENT…]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

static int install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VFIO_DEVICE_GET_REGION_INFO, 0, 2),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_NEW_LISTENER |
			       SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		       &program);
}

static ino_t own_inode;

static int is_own(pid_t tid, int fd)
{
	static pid_t cached;
	static int directory = -1;
	char name[40];
	struct statx s;

	if (tid != cached) {
		close(directory);
		snprintf(name, sizeof(name), "/proc/%d/fd", tid);
		directory = open(name, O_PATH | O_DIRECTORY);
		cached = tid;
	}
	snprintf(name, sizeof(name), "%d", fd);
	return statx(directory, name, AT_STATX_DONT_SYNC, STATX_INO, &s) == 0 &&
		s.stx_ino == own_inode;
}

static void answer(int listener, struct seccomp_notif *n)
{
	struct seccomp_notif_resp r = { .id = n->id };
	struct vfio_region_info info;
	uint32_t value = 0x11e81234;
	int is_ioctl = n->data.nr == SYS_ioctl;
	struct iovec local = { is_ioctl ? (void *)&info : (void *)&value,
			       is_ioctl ? sizeof(info) : sizeof(value) };
	struct iovec remote = { (void *)(is_ioctl ? n->data.args[2] : n->data.args[1]),
				local.iov_len };

	if (!is_own(n->pid, n->data.args[0]) ||
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->id)) {
		r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else if (is_ioctl) {
		process_vm_readv(n->pid, &local, 1, &remote, 1, 0);
		info.size = 256;
		info.offset = 7ull << 40;
		process_vm_writev(n->pid, &local, 1, &remote, 1, 0);
	} else {
		process_vm_writev(n->pid, &local, 1, &remote, 1, 0);
		r.val = 4;
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

int main(int argc, char **argv)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pollfd p = { .events = POLLIN };
	struct stat s;
	int status, pidfd;
	pid_t pid;

	if (argc < 2)
		return 2;
	stat("/dev/null", &s);
	own_inode = s.st_ino;
	pid = fork();
	if (pid == 0) {
		shared[0] = install();
		while (!shared[1])
			sched_yield();
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	while (!shared[0])
		sched_yield();
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	p.fd = syscall(SYS_pidfd_getfd, pidfd, shared[0], 0);
	if (p.fd < 0) {
		perror("listener");
		return 1;
	}
	ioctl(p.fd, SECCOMP_IOW(4, __u64), 1);	/* SYNC_WAKE_UP; Linux 6.6 */
	shared[1] = 1;
	while (poll(&p, 1, -1) == 1 && !(p.revents & POLLHUP)) {
		struct seccomp_notif n;

		memset(&n, 0, sizeof(n));
		if (ioctl(p.fd, SECCOMP_IOCTL_NOTIF_RECV, &n) == 0)
			answer(p.fd, &n);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}
