#include "call.h"
#include "vfio-cused/plugin.h"

static _Thread_local const struct cp_call *current;

const struct cp_call *cp_call_current(void)
{
	return current;
}

const struct cp_call *cp_call_set(const struct cp_call *call)
{
	const struct cp_call *before = current;

	current = call;
	return before;
}

/*
 * The layout that plug-ins were built with: what is there stays where it is.
 */
#define AT(type, field, at) \
	_Static_assert(offsetof(struct type, field) == (at), \
		       #type "." #field " is at " #at)

AT(vfio_plugin, abi, 0);
AT(vfio_plugin, size, 4);
AT(vfio_plugin, init, 16);
AT(vfio_device, name, 16);
AT(vfio_device, regions, 32);
AT(vfio_device, driver_data, 56);
AT(vfio_device_ops, match, 8);
AT(vfio_device_ops, mmap, 64);
AT(vfio_model_ops, bus_master, 48);
AT(vfio_pci_model, ops, 144);
AT(vfio_platform_model, ops, 40);
AT(vfio_host, group_add_dev, 16);
AT(vfio_host, register_platform, 128);
