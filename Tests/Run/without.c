/*
 * Runs a program that may not make some system calls, as a container's profile
 * has it: EPERM. `container` stands for those of ours, and of others, that
 * container runtimes forbid without further privileges.
 *
 * without CALL,CALL,… PROGRAM [ARGUMENT…]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	int number;
	int in_container;
} calls[] = {
	{ "bpf", SYS_bpf, 1 },
	{ "fanotify_init", SYS_fanotify_init, 1 },
	{ "fsmount", SYS_fsmount, 1 },
	{ "fsopen", SYS_fsopen, 1 },
	{ "io_uring_setup", SYS_io_uring_setup, 1 },
	{ "kcmp", SYS_kcmp, 1 },
	{ "mount", SYS_mount, 1 },
	{ "move_mount", SYS_move_mount, 1 },
	{ "open_by_handle_at", SYS_open_by_handle_at, 1 },
	{ "open_tree", SYS_open_tree, 1 },
	{ "perf_event_open", SYS_perf_event_open, 1 },
	{ "pidfd_getfd", SYS_pidfd_getfd, 1 },
	{ "pivot_root", SYS_pivot_root, 1 },
	{ "process_vm_readv", SYS_process_vm_readv, 0 },
	{ "seccomp", SYS_seccomp, 0 },
	{ "setns", SYS_setns, 1 },
	{ "umount2", SYS_umount2, 1 },
	{ "unshare", SYS_unshare, 1 },
	{ "userfaultfd", SYS_userfaultfd, 1 },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int main(int argc, char **argv)
{
	struct sock_filter code[2 * CALLS + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { 1, code };

	if (argc < 3)
		return 2;
	for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) {
		int found = 0;

		for (size_t i = 0; i < CALLS; i++) {
			if (strcmp(name, "container") ? strcmp(name, calls[i].name) :
						      !calls[i].in_container)
				continue;
			found++;
			if (program.len > 2 * CALLS)
				return 2;
			code[program.len++] = (struct sock_filter)BPF_JUMP(
				BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
			code[program.len++] = (struct sock_filter)BPF_STMT(
				BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
		}
		if (!found)
			return 2;
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("seccomp");
		return 2;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
