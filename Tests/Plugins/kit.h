/* The registers of kit.c. */
#ifndef KIT_H
#define KIT_H

enum {
	KIT_SCRATCH = 0x00,
	KIT_LINE = 0x04,	/* w: drives interrupt 0 */
	KIT_MESSAGE = 0x08,	/* w: fires interrupt 1, this one */
	KIT_TRANSFER = 0x0c,	/* w: adds 1 to the word there, then interrupt 0 */
	KIT_RESETS = 0x10,
	KIT_MASTERS = 0x14,	/* bus mastering: on << 16 | off */
	KIT_ACCESS = 0x18,	/* r: region << 8 | width */
	KIT_RAM = 0x20,		/* w: goes to the RAM; r: comes from there */
	KIT_WAIT = 0x1c,	/* w: DMA in a callback; its result is in SCRATCH */
};

/* The region that is RAM. */
#define KIT_RAM_REGION	2

#endif
