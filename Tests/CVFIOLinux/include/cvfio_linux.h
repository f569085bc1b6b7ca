/* The machine's own header of today's API, for tests that compare our layouts with it. */
#ifndef CVFIO_LINUX_H
#define CVFIO_LINUX_H

/* The draft's header, which other tests look at, has structures of the same names. */
#define vfio_device_info linux_vfio_device_info
#define vfio_region_info linux_vfio_region_info
#define vfio_irq_info linux_vfio_irq_info
#include <linux/vfio.h>
#undef vfio_device_info
#undef vfio_region_info
#undef vfio_irq_info

/* What the compiler does not show to Swift. */
extern const unsigned cvfio_container_requests[7];
extern const unsigned cvfio_group_requests[4];
extern const unsigned cvfio_device_requests[9];
extern const unsigned cvfio_extensions[10];
extern const unsigned cvfio_flags[34];

#endif
