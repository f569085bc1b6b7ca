/*
 * Plug-ins that the daemon does not start with: build with one of these defined.
 */
#include <errno.h>
#include <vfio-cused/plugin.h>

static __attribute__((unused)) int init(
	const struct vfio_plugin_parameter *parameters, size_t num_parameters)
{
	(void)parameters;
	(void)num_parameters;
#if defined(FAILS)
	return -EBUSY;
#elif defined(FAILS_AND_SAYS_WHY)
	vfio_log(VFIO_LOG_ERROR, "the moon is not full\nand more");
	return -EINVAL;
#elif defined(RETURNS_NONSENSE)
	return 5;
#elif defined(RETURNS_NO_ERRNO)
	return -100000;
#elif defined(MODEL_IS_THERE)
	static const struct vfio_model_ops ops = {
		.size = sizeof(ops), .read = (void *)init, .write = (void *)init,
	};
	static const struct vfio_platform_model model = {
		.size = sizeof(model), .name = "edu", .ops = &ops,
	};

	return vfio_register_platform(&model);
#else
	return 0;
#endif
}

#if defined(NO_SYMBOL)
const struct vfio_host *vfio_host;
#elif defined(NO_INIT)
const struct vfio_plugin vfio_cused_plugin = {
	VFIO_PLUGIN_ABI, sizeof(struct vfio_plugin), "none", NULL,
};
#elif defined(OLD_VERSION)
const struct vfio_plugin vfio_cused_plugin = {
	VFIO_PLUGIN_ABI - 1, sizeof(struct vfio_plugin), "old", NULL,
};
#elif defined(NEW_VERSION)
const struct vfio_plugin vfio_cused_plugin = {
	VFIO_PLUGIN_ABI + 1, sizeof(struct vfio_plugin), "new", NULL,
};
#elif defined(TOO_SMALL)
const struct vfio_plugin vfio_cused_plugin = { VFIO_PLUGIN_ABI, 8, "small", NULL };
#else
VFIO_PLUGIN("refused", init);
#endif

#ifdef UNDEFINED
extern int nobody_has_this(void);
int (*pull_it_in)(void) = nobody_has_this;
#endif
