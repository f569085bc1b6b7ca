/* libfuse 3.14: the API of Debian 12. */
#define FUSE_USE_VERSION 314
#include <cuse_lowlevel.h>
#include <fuse_lowlevel.h>
