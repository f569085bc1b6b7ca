/* The machine's own header of today's API, for tests that compare our layouts with it. */
#ifndef CVFIO_LINUX_H
#define CVFIO_LINUX_H

#include <linux/vfio.h>

/* What the compiler does not show to Swift. */
extern const unsigned cvfio_container_requests[7];
extern const unsigned cvfio_group_requests[4];
extern const unsigned cvfio_device_requests[9];
extern const unsigned cvfio_extensions[10];

#endif
