/* What a thread is doing for a plug-in. Not for plug-ins. */
#ifndef CPLUGIN_CALL_H
#define CPLUGIN_CALL_H

/* A callback that this thread is in. The calls nest. */
struct cp_call {
	/* The client whose ioctl it serves; NULL where it serves none. */
	const void *client;
};

/* The innermost callback that this thread is in, NULL in none. */
const struct cp_call *cp_call_current(void);
/* Enters or leaves one: the one before, to go back to. */
const struct cp_call *cp_call_set(const struct cp_call *call);

#endif
