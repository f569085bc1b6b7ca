/* kcmp(2). */
#ifndef CL_KCMP_H
#define CL_KCMP_H

#include <sys/types.h>

/* 0: the two threads share their memory; 1: they do not; -ENOSYS on kernels without it. */
int cl_kcmp_vm(pid_t a, pid_t b);

#endif
