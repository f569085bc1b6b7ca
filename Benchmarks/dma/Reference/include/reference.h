/* What DMA is compared with: raw process_vm_readv, process_vm_writev and memcpy. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

void ref_read(pid_t pid, void *local, uint64_t remote, size_t size);
void ref_write(pid_t pid, const void *local, uint64_t remote, size_t size);
void ref_copy(void *to, const void *from, size_t size);

/* Pages of `local`, one behind the other, and pages at offsets of `base`: at most 128. */
void ref_move_pieces(pid_t pid, uint64_t base, void *local, const ssize_t *offsets, size_t count,
		     bool is_write);
void ref_copy_pieces(void *base, void *local, const ssize_t *offsets, size_t count, bool is_write);

#endif
