#include "reference.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { PAGE = 4096, PIECES = 128 };

void ref_read(pid_t pid, void *local, uint64_t remote, size_t size)
{
	struct iovec l = { local, size }, r = { (void *)(uintptr_t)remote, size };

	if (process_vm_readv(pid, &l, 1, &r, 1, 0) != (ssize_t)size)
		abort();
}

void ref_write(pid_t pid, const void *local, uint64_t remote, size_t size)
{
	struct iovec l = { (void *)(uintptr_t)local, size }, r = { (void *)(uintptr_t)remote, size };

	if (process_vm_writev(pid, &l, 1, &r, 1, 0) != (ssize_t)size)
		abort();
}

void ref_copy(void *to, const void *from, size_t size) { memcpy(to, from, size); }

void ref_move_pieces(pid_t pid, uint64_t base, void *local, const ssize_t *offsets, size_t count,
		     bool is_write)
{
	struct iovec l[PIECES], r[PIECES];
	ssize_t moved;

	for (size_t i = 0; i < count; i++) {
		l[i] = (struct iovec){ (char *)local + i * PAGE, PAGE };
		r[i] = (struct iovec){ (void *)(uintptr_t)(base + (uint64_t)offsets[i]), PAGE };
	}
	moved = is_write ? process_vm_writev(pid, l, count, r, count, 0)
			 : process_vm_readv(pid, l, count, r, count, 0);
	if (moved != (ssize_t)(count * PAGE))
		abort();
}

void ref_copy_pieces(void *base, void *local, const ssize_t *offsets, size_t count, bool is_write)
{
	for (size_t i = 0; i < count; i++) {
		char *theirs = (char *)base + offsets[i], *ours = (char *)local + i * PAGE;

		if (is_write)
			memcpy(theirs, ours, PAGE);
		else
			memcpy(ours, theirs, PAGE);
	}
}
