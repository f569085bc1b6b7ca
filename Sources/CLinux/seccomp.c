#include "cl_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#else
#error "no filter for this machine"
#endif

/* Where the second region of a device is on its descriptor, in both ABIs. */
#define REGION_ONE (1ULL << 40)

#define ALLOW SECCOMP_RET_ALLOW
#define NOTIFY SECCOMP_RET_USER_NOTIF

/* What is notified whatever its arguments. */
static const long notified[] = {
	SYS_lseek, SYS_readv, SYS_writev, SYS_sendfile, SYS_splice, SYS_copy_file_range,
	SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
	SYS_fsync, SYS_fdatasync, SYS_ftruncate,
	SYS_getxattr, SYS_lgetxattr, SYS_listxattr, SYS_llistxattr,
	SYS_chdir, SYS_getcwd, SYS_fchownat, SYS_fchmodat,
#ifdef __x86_64__
	SYS_chown, SYS_lchown, SYS_chmod,
	SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_readlink, SYS_access,
#endif
};

/* The halves of argument n; BPF loads 32 bits at a time, of little-endian words. */
#define LOW(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))
#define HIGH(n) (LOW(n) + 4)

struct program {
	struct sock_filter *code;
	size_t length, room;
};

static void add(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->length < p->room)
		p->code[p->length] = (struct sock_filter){ code, jt, jf, k };
	p->length++;
}

static void load(struct program *p, uint32_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void result(struct program *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* From here to `end`, with a return before it, is for this system call alone. */
static size_t begin(struct program *p, long number)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 0);
	return p->length;
}

static void end(struct program *p, size_t start)
{
	if (start <= p->room)
		p->code[start - 1].jf = (uint8_t)(p->length - start);
}

static void act_if(struct program *p, uint16_t test, uint32_t k, uint32_t action)
{
	add(p, BPF_JMP | test | BPF_K, k, 0, 1);
	result(p, action);
}

static void act_unless(struct program *p, uint16_t test, uint32_t k, uint32_t action)
{
	add(p, BPF_JMP | test | BPF_K, k, 1, 0);
	result(p, action);
}

static void always(struct program *p, long number, uint32_t action)
{
	size_t rule = begin(p, number);

	result(p, action);
	end(p, rule);
}

/* Where the path is relative to the working directory, or absolute. The emulated directories that
 * a client has open are real ones, so that the kernel can look into them. */
static void from_working_directory(struct program *p, long number)
{
	size_t rule = begin(p, number);

	load(p, LOW(0));
	act_if(p, BPF_JEQ, (uint32_t)AT_FDCWD, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

/* A descriptor can have any number. Of standard input, output and error only what accesses a device's register or
 * a file of /sys is looked at. */
static void transfers(struct program *p, long number, uint32_t least, uint32_t most)
{
	size_t rule = begin(p, number);

	load(p, HIGH(2));
	act_unless(p, BPF_JEQ, 0, NOTIFY);
	load(p, LOW(2));
	act_if(p, BPF_JEQ, CL_RECORD, ALLOW);
	load(p, LOW(0));
	act_if(p, BPF_JGT, STDERR_FILENO, NOTIFY);
	load(p, LOW(2));
	act_if(p, BPF_JGT, most, ALLOW);
	act_if(p, BPF_JGE, least, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

static void ioctls(struct program *p)
{
	size_t rule = begin(p, SYS_ioctl);

	load(p, LOW(1));
	add(p, BPF_ALU | BPF_AND | BPF_K, 0xff00, 0, 0);
	act_if(p, BPF_JEQ, ';' << 8, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

/* Mappings of files, but those of a program's own code and data, which the dynamic linker of glibc marks.
 * Files that have a region of a device there are not to be had otherwise. */
static void mappings(struct program *p)
{
	size_t rule = begin(p, SYS_mmap);

	load(p, LOW(4));
	act_if(p, BPF_JEQ, UINT32_MAX, ALLOW);
	load(p, HIGH(5));
	act_if(p, BPF_JGE, REGION_ONE >> 32, NOTIFY);
	load(p, LOW(3));
	act_if(p, BPF_JSET, MAP_ANONYMOUS, ALLOW);
	act_if(p, BPF_JSET, MAP_SHARED, NOTIFY);
	act_if(p, BPF_JSET, MAP_DENYWRITE, ALLOW);
	result(p, NOTIFY);
	end(p, rule);
}

/* Mappings that grow: what follows a device's memory in its file is none of it. */
static void growing(struct program *p)
{
	size_t rule = begin(p, SYS_mremap);

	load(p, HIGH(1));
	add(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(p, HIGH(2));
	add(p, BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0);
	result(p, NOTIFY);
	load(p, LOW(1));
	add(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(p, LOW(2));
	add(p, BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1);
	result(p, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

/* A process that makes itself undumpable could not be looked into any more. */
static void dumpable(struct program *p)
{
	size_t rule = begin(p, SYS_prctl);

	load(p, LOW(0));
	act_if(p, BPF_JEQ, PR_SET_DUMPABLE, NOTIFY);
	act_if(p, BPF_JEQ, PR_GET_DUMPABLE, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

/* From any directory where it is for reading and writing, or for writing to what is there: that is rare,
 * and what device nodes and files of /sys are opened for. */
static void opens(struct program *p)
{
	size_t rule = begin(p, SYS_openat);

	load(p, LOW(0));
	act_if(p, BPF_JEQ, (uint32_t)AT_FDCWD, NOTIFY);
	load(p, LOW(2));
	add(p, BPF_ALU | BPF_AND | BPF_K, O_ACCMODE, 0, 0);
	act_if(p, BPF_JEQ, O_RDWR, NOTIFY);
	load(p, LOW(2));
	add(p, BPF_ALU | BPF_AND | BPF_K, O_ACCMODE | O_CREAT, 0, 0);
	act_if(p, BPF_JEQ, O_WRONLY, NOTIFY);
	result(p, ALLOW);
	end(p, rule);
}

int cl_seccomp_filter(struct sock_filter *filter, size_t room, bool eventfds)
{
	struct program program = { filter, 0, room }, *p = &program;

	load(p, offsetof(struct seccomp_data, arch));
	/* Programs for another machine run as they would without us. */
	act_unless(p, BPF_JEQ, MACHINE, ALLOW);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	/* x32 has the same machine and other arguments. */
	act_if(p, BPF_JGE, 0x40000000, SECCOMP_RET_ERRNO | ENOSYS);
#endif
	/* It would read and write behind our back. */
	always(p, SYS_io_uring_setup, SECCOMP_RET_ERRNO | ENOSYS);

	/* Shells read their input by single bytes. */
	transfers(p, SYS_read, 2, CL_MOST_READ_STANDARD);
	transfers(p, SYS_write, 0, CL_MOST_WRITTEN_STANDARD);
	mappings(p);
	growing(p);
	opens(p);
	ioctls(p);
	from_working_directory(p, SYS_newfstatat);
	from_working_directory(p, SYS_statx);
	from_working_directory(p, SYS_readlinkat);
	from_working_directory(p, SYS_faccessat);
	from_working_directory(p, SYS_faccessat2);
	from_working_directory(p, SYS_openat2);
	dumpable(p);
	for (size_t i = 0; i < sizeof(notified) / sizeof(notified[0]); i++)
		always(p, notified[i], NOTIFY);
	if (eventfds) {
		always(p, SYS_eventfd2, NOTIFY);
#ifdef __x86_64__
		always(p, SYS_eventfd, NOTIFY);
#endif
	}
	result(p, ALLOW);
	return p->length > room ? -E2BIG : (int)p->length;
}

int cl_seccomp_install(const struct sock_filter *filter, size_t length)
{
	struct sock_fprog program = {
		.len = (unsigned short)length,
		.filter = (struct sock_filter *)filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* A signal must not interrupt, and so repeat, what we have carried out already. */
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			  &program);

	return fd < 0 ? -errno : (int)fd;
}

static enum cl_call_name name_of(int number)
{
	switch (number) {
	case SYS_ioctl: return CL_CALL_IOCTL;
	case SYS_mmap: return CL_CALL_MMAP;
	case SYS_mremap: return CL_CALL_MREMAP;
	case SYS_prctl: return CL_CALL_PRCTL;
	case SYS_read: return CL_CALL_READ;
	case SYS_write: return CL_CALL_WRITE;
	case SYS_readv: return CL_CALL_READV;
	case SYS_writev: return CL_CALL_WRITEV;
	case SYS_lseek: return CL_CALL_LSEEK;
	case SYS_fsync: return CL_CALL_FSYNC;
	case SYS_fdatasync: return CL_CALL_FSYNC;
	case SYS_ftruncate: return CL_CALL_FTRUNCATE;
	case SYS_sendfile: return CL_CALL_SENDFILE;
	case SYS_splice: return CL_CALL_SPLICE;
	case SYS_copy_file_range: return CL_CALL_COPY_FILE_RANGE;
	case SYS_pread64: return CL_CALL_PREAD;
	case SYS_pwrite64: return CL_CALL_PWRITE;
	case SYS_preadv: return CL_CALL_PREADV;
	case SYS_pwritev: return CL_CALL_PWRITEV;
	case SYS_preadv2: return CL_CALL_PREADV2;
	case SYS_pwritev2: return CL_CALL_PWRITEV2;
	case SYS_openat: return CL_CALL_OPENAT;
	case SYS_openat2: return CL_CALL_OPENAT2;
	case SYS_newfstatat: return CL_CALL_FSTATAT;
	case SYS_statx: return CL_CALL_STATX;
	case SYS_readlinkat: return CL_CALL_READLINKAT;
	case SYS_faccessat: return CL_CALL_FACCESSAT;
	case SYS_faccessat2: return CL_CALL_FACCESSAT2;
	case SYS_fchownat: return CL_CALL_FCHOWNAT;
	case SYS_fchmodat: return CL_CALL_FCHMODAT;
	case SYS_chdir: return CL_CALL_CHDIR;
	case SYS_getcwd: return CL_CALL_GETCWD;
	case SYS_eventfd2: return CL_CALL_EVENTFD2;
	case SYS_getxattr: return CL_CALL_GETXATTR;
	case SYS_lgetxattr: return CL_CALL_LGETXATTR;
	case SYS_listxattr: return CL_CALL_LISTXATTR;
	case SYS_llistxattr: return CL_CALL_LLISTXATTR;
#ifdef __x86_64__
	case SYS_open: return CL_CALL_OPEN;
	case SYS_creat: return CL_CALL_CREAT;
	case SYS_stat: return CL_CALL_STAT;
	case SYS_lstat: return CL_CALL_LSTAT;
	case SYS_readlink: return CL_CALL_READLINK;
	case SYS_access: return CL_CALL_ACCESS;
	case SYS_chown: return CL_CALL_CHOWN;
	case SYS_lchown: return CL_CALL_LCHOWN;
	case SYS_chmod: return CL_CALL_CHMOD;
	case SYS_eventfd: return CL_CALL_EVENTFD;
#endif
	}
	return CL_CALL_OTHER;
}

/* Waits that long, in milliseconds. */
static bool is_unused(int listener, int timeout)
{
	/* No events wanted: calls do not wake us, the end of the last process does. */
	struct pollfd p = { .fd = listener };

	return poll(&p, 1, timeout) > 0;
}

int cl_seccomp_receive(int listener, struct cl_call *call)
{
	struct seccomp_notif n;

	/* The kernel wants it empty. */
	memset(&n, 0, sizeof(n));
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
		if (errno == ENOENT && is_unused(listener, 0))
			return -EPIPE;
		if (errno != EINTR)
			return -errno;
	}
	call->id = n.id;
	call->thread = (pid_t)n.pid;
	call->name = name_of(n.data.nr);
	for (int i = 0; i < 6; i++)
		call->arguments[i] = n.data.args[i];
	return 0;
}

static int respond(int listener, const struct seccomp_notif_resp *response)
{
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int cl_seccomp_answer(int listener, uint64_t id, int64_t value, int error)
{
	struct seccomp_notif_resp r = { .id = id, .val = error ? 0 : value, .error = -error };

	return respond(listener, &r);
}

int cl_seccomp_continue(int listener, uint64_t id)
{
	struct seccomp_notif_resp r = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	return respond(listener, &r);
}

bool cl_seccomp_is_waiting(int listener, uint64_t id)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int cl_seccomp_add_fd(int listener, uint64_t id, int fd, bool close_on_exec)
{
	struct seccomp_notif_addfd a = {
		.id = id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = close_on_exec ? O_CLOEXEC : 0,
	};
	int r;

	while ((r = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a)) < 0)
		if (errno != EINTR)
			return -errno;
	return r;
}

int cl_seccomp_take_turns(int listener)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		     SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0 ? -errno : 0;
}

int cl_seccomp_wait_unused(int listener)
{
	while (!is_unused(listener, -1))
		if (errno != EINTR)
			return -errno;
	return 0;
}
