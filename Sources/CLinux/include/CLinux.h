/* C for what Swift cannot import: variadic calls, raw system calls, macros.
 * Every function returns a value >= 0, or -errno. No policy here. */
#ifndef CLINUX_H
#define CLINUX_H

#include "cl_copy.h"
#include "cl_fd.h"
#include "cl_kcmp.h"
#include "cl_launch.h"
#include "cl_memfile.h"
#include "cl_memory.h"
#include "cl_mount.h"
#include "cl_pidfd.h"
#include "cl_ptrace.h"
#include "cl_seccomp.h"
#include "cl_signals.h"
#include "cl_stat.h"
#include "cl_thread.h"
#include "cl_trap.h"
#include "cl_vma.h"

#endif
