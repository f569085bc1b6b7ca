/*
 * System calls and nothing else, for programs without a C library: `run` is
 * their main, its result the exit status.
 */
#ifndef RAW_H
#define RAW_H

#include <asm/unistd.h>
#include <linux/fcntl.h>

#include <linux/vfio.h>

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d)
{
	register long r10 asm("r10") = d;
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
		     : "rcx", "r11", "memory");
	return result;
}

asm(".globl _start\n"
    "_start:\n"
    "	xor %ebp, %ebp\n"
    "	and $-16, %rsp\n"
    "	call run\n"
    "	mov %eax, %edi\n"
    "	mov $231, %eax\n"	/* exit_group */
    "	syscall\n");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d)
{
	register long x8 asm("x8") = number;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;

	asm volatile("svc #0"
		     : "+r"(x0)
		     : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
		     : "memory");
	return x0;
}

asm(".globl _start\n"
    "_start:\n"
    "	bl run\n"
    "	mov x8, #94\n"		/* exit_group */
    "	svc #0\n");
#else
#error "no system calls for this machine"
#endif

static long ioctl(long fd, unsigned long request, const void *argument)
{
	return call(__NR_ioctl, fd, request, (long)argument, 0);
}

#endif /* RAW_H */
