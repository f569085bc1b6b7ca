/*
 * Mapped registers by each form of move that there is: strings, SSE, AVX and
 * AVX-512, and what the C library makes of memcpy and memset. Wants edu as
 * 0000:06:0d.0 in group 240: its DMA registers take 8 bytes at once.
 */
#include "../Clients/check.h"

#include <fcntl.h>
#include <immintrin.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

/* Addresses of 28 bits, and of the device's own buffer. */
#define SOURCE	0x1234567ul
#define TARGET	0x7654321ul
#define OTHER	0x0fedcbaul

static volatile unsigned char *registers;
static unsigned long before[8] __attribute__((aligned(64)));
static unsigned long after[8] __attribute__((aligned(64)));

#define REGISTER(offset) (*(volatile unsigned long *)(registers + (offset)))

static void open_device(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/240", O_RDWR);
	int device;

	check_topic = "open";
	CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
	CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:06:0d.0");
	CHECK(device >= 0);
	registers = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	CHECK((void *)registers != MAP_FAILED);
}

static void set(unsigned long source, unsigned long target)
{
	REGISTER(0x80) = source;
	REGISTER(0x88) = target;
}

static void reset_buffers(void)
{
	memset(before, 0, sizeof(before));
	memset(after, 0xee, sizeof(after));
	before[0] = SOURCE;
	before[1] = TARGET;
	set(0, 0);
}

/* The same vector register, filled with ones before, is loaded from the device. */
#define LOADS(form, registers_, keep, width)                                                \
	do {                                                                                \
		check_topic = form;                                                         \
		reset_buffers();                                                            \
		set(SOURCE, TARGET);                                                        \
		REGISTER(0x90) = 16;                                                        \
		asm volatile("pcmpeqd %%xmm7, %%xmm7\n\t" form " %1, %%" registers_ "7\n\t" \
			     "movups %%xmm7, %0"                                            \
			     : "=m"(*(__m128i *)after)                                      \
			     : "m"(*(const __m128i *)(registers + 0x80))                    \
			     : "xmm7", "memory");                                           \
		CHECK(after[0] == ((width) < 8 ? SOURCE & 0xffffffff : SOURCE));            \
		CHECK(after[1] == ((width) > 8 ? TARGET : (keep) ? ~0ul : 0));              \
	} while (0)

#define STORES(form, width)                                                                 \
	do {                                                                                \
		check_topic = form;                                                         \
		reset_buffers();                                                            \
		set(OTHER, OTHER);                                                          \
		asm volatile("movups %1, %%xmm6\n\t" form " %%xmm6, %0"                     \
			     : "=m"(*(__m128i *)(registers + 0x80))                         \
			     : "m"(*(const __m128i *)before)                                \
			     : "xmm6", "memory");                                           \
		CHECK(REGISTER(0x80) == SOURCE);                                            \
		CHECK(REGISTER(0x88) == ((width) > 8 ? TARGET : OTHER));                    \
	} while (0)

static void check_sse(void)
{
	LOADS("movups", "xmm", 0, 16);
	LOADS("movupd", "xmm", 0, 16);
	LOADS("movaps", "xmm", 0, 16);
	LOADS("movapd", "xmm", 0, 16);
	LOADS("movdqu", "xmm", 0, 16);
	LOADS("movdqa", "xmm", 0, 16);
	LOADS("lddqu", "xmm", 0, 16);
	LOADS("movntdqa", "xmm", 0, 16);
	LOADS("movq", "xmm", 0, 8);
	LOADS("movsd", "xmm", 0, 8);
	LOADS("movlps", "xmm", 1, 8);
	LOADS("movlpd", "xmm", 1, 8);
	LOADS("movss", "xmm", 0, 4);
	LOADS("movd", "xmm", 0, 4);
	STORES("movups", 16);
	STORES("movupd", 16);
	STORES("movaps", 16);
	STORES("movapd", 16);
	STORES("movdqu", 16);
	STORES("movdqa", 16);
	STORES("movntps", 16);
	STORES("movntpd", 16);
	STORES("movntdq", 16);
	STORES("movq", 8);
	STORES("movsd", 8);
	STORES("movlps", 8);
	STORES("movlpd", 8);

	check_topic = "movhps";
	set(SOURCE, TARGET);
	asm volatile("pxor %%xmm7, %%xmm7\n\tmovhps %1, %%xmm7\n\tmovups %%xmm7, %0\n\t"
		     "movhps %%xmm7, %2"
		     : "=m"(*(__m128i *)after)
		     : "m"(REGISTER(0x88)), "m"(REGISTER(0x80))
		     : "xmm7", "memory");
	CHECK(after[0] == 0 && after[1] == TARGET && REGISTER(0x80) == TARGET);
	/* High registers and an address of several parts. */
	check_topic = "xmm15";
	set(SOURCE, TARGET);
	asm volatile("movdqu 0x60(%1,%2,4), %%xmm15\n\tmovdqu %%xmm15, %0"
		     : "=m"(*(__m128i *)after)
		     : "r"(registers), "r"(8ul)
		     : "xmm15", "memory");
	CHECK(after[0] == SOURCE && after[1] == TARGET);
}

#define AVX_LOAD(form, vector, from, width)                                                  \
	do {                                                                                 \
		check_topic = form " " vector;                                               \
		reset_buffers();                                                             \
		set(SOURCE, TARGET);                                                         \
		REGISTER(0x90) = 16;                                                         \
		asm volatile("vpcmpeqd %%ymm7, %%ymm7, %%ymm7\n\t" form " %1, %%" vector     \
			     "\n\tvmovdqu %%ymm7, %0"                                        \
			     : "=m"(*(__m256i *)after)                                       \
			     : "m"(*(const __m256i *)(registers + (from)))                   \
			     : "xmm7", "memory");                                            \
		CHECK(after[0] == ((width) < 8 ? SOURCE & 0xffffffff : SOURCE));             \
		CHECK(after[1] == ((width) > 8 ? TARGET : 0));                               \
		CHECK(after[2] == ((width) > 16 ? 16 : 0) && after[3] == 0);                 \
	} while (0)

#define AVX_STORE(form, vector, width)                                                       \
	do {                                                                                 \
		check_topic = form " from " vector;                                          \
		reset_buffers();                                                             \
		before[2] = 8;                                                               \
		set(OTHER, OTHER);                                                           \
		REGISTER(0x90) = 1;                                                          \
		asm volatile("vmovdqu %1, %%ymm6\n\t" form " %%" vector ", %0"               \
			     : "=m"(*(__m256i *)(registers + 0x80))                          \
			     : "m"(*(const __m256i *)before)                                 \
			     : "xmm6", "memory");                                            \
		CHECK(REGISTER(0x80) == SOURCE);                                             \
		CHECK(REGISTER(0x88) == ((width) > 8 ? TARGET : OTHER));                     \
		CHECK(REGISTER(0x90) == ((width) > 16 ? 8 : 1));                             \
	} while (0)

__attribute__((target("avx2"))) static void check_avx(void)
{
	AVX_LOAD("vmovdqu", "xmm7", 0x80, 16);
	AVX_LOAD("vmovdqa", "xmm7", 0x80, 16);
	AVX_LOAD("vmovups", "xmm7", 0x80, 16);
	AVX_LOAD("vmovaps", "xmm7", 0x80, 16);
	AVX_LOAD("vmovdqu", "ymm7", 0x80, 32);
	AVX_LOAD("vmovdqa", "ymm7", 0x80, 32);
	AVX_LOAD("vmovups", "ymm7", 0x80, 32);
	AVX_LOAD("vmovapd", "ymm7", 0x80, 32);
	AVX_LOAD("vlddqu", "ymm7", 0x80, 32);
	AVX_LOAD("vmovntdqa", "ymm7", 0x80, 32);
	AVX_LOAD("vmovq", "xmm7", 0x80, 8);
	AVX_LOAD("vmovsd", "xmm7", 0x80, 8);
	AVX_LOAD("vmovss", "xmm7", 0x80, 4);
	AVX_LOAD("vmovd", "xmm7", 0x80, 4);
	AVX_STORE("vmovdqu", "xmm6", 16);
	AVX_STORE("vmovdqa", "xmm6", 16);
	AVX_STORE("vmovups", "ymm6", 32);
	AVX_STORE("vmovaps", "ymm6", 32);
	AVX_STORE("vmovdqu", "ymm6", 32);
	AVX_STORE("vmovntdq", "ymm6", 32);
	AVX_STORE("vmovntps", "ymm6", 32);
	AVX_STORE("vmovq", "xmm6", 8);
	AVX_STORE("vmovsd", "xmm6", 8);
	AVX_STORE("vmovlps", "xmm6", 8);
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) static void check_avx512(void)
{
	__m512i value;

	AVX_LOAD("vmovdqu64", "xmm7", 0x80, 16);
	AVX_LOAD("vmovdqu8", "ymm7", 0x80, 32);
	AVX_LOAD("vmovdqa32", "ymm7", 0x80, 32);
	AVX_STORE("vmovdqu16", "ymm6", 32);
	AVX_STORE("vmovdqu32", "ymm6", 32);

	check_topic = "zmm31";
	set(SOURCE, TARGET);
	REGISTER(0x90) = 16;
	asm volatile("vmovdqu64 0x40(%1), %%zmm31\n\tvmovdqu64 %%zmm31, %0"
		     : "=m"(value)
		     : "r"(registers + 0x40)
		     : "xmm31", "memory");
	memcpy(after, &value, sizeof(after));
	CHECK(after[0] == SOURCE && after[1] == TARGET && after[2] == 16 && after[3] == 0);
	set(0, 0);
	REGISTER(0x90) = 0;
	asm volatile("vmovdqu64 %1, %%zmm20\n\tvmovdqu64 %%zmm20, 0x40(%0)"
		     :
		     : "r"(registers + 0x40), "m"(value)
		     : "xmm20", "memory");
	CHECK(REGISTER(0x80) == SOURCE && REGISTER(0x88) == TARGET && REGISTER(0x90) == 16);

	/* Masked: the second of two words alone. */
	check_topic = "masks";
	set(SOURCE, TARGET);
	asm volatile("mov $2, %%eax\n\tkmovw %%eax, %%k1\n\tvpternlogd $0xff, %%zmm9, %%zmm9, %%zmm9\n\t"
		     "vmovdqu64 %1, %%xmm9 %{%%k1%}\n\tvmovdqu64 %%zmm9, %0"
		     : "=m"(value)
		     : "m"(*(const __m128i *)(registers + 0x80))
		     : "xmm9", "k1", "eax", "memory");
	memcpy(after, &value, sizeof(after));
	CHECK(after[0] == ~0ul && after[1] == TARGET && after[2] == 0 && after[7] == 0);
	asm volatile("mov $2, %%eax\n\tkmovw %%eax, %%k1\n\tvpternlogd $0xff, %%zmm9, %%zmm9, %%zmm9\n\t"
		     "vmovdqu64 %1, %%xmm9 %{%%k1%}%{z%}\n\tvmovdqu64 %%zmm9, %0"
		     : "=m"(value)
		     : "m"(*(const __m128i *)(registers + 0x80))
		     : "xmm9", "k1", "eax", "memory");
	memcpy(after, &value, sizeof(after));
	CHECK(after[0] == 0 && after[1] == TARGET && after[2] == 0 && after[7] == 0);
	before[0] = before[1] = OTHER;
	asm volatile("mov $2, %%eax\n\tkmovw %%eax, %%k1\n\tmovups %1, %%xmm9\n\t"
		     "vmovdqu64 %%xmm9, %0 %{%%k1%}"
		     : "=m"(*(__m128i *)(registers + 0x80))
		     : "m"(*(const __m128i *)before)
		     : "xmm9", "k1", "eax", "memory");
	CHECK(REGISTER(0x80) == SOURCE && REGISTER(0x88) == OTHER);
}

static void check_strings(void)
{
	const void *from;
	void *to;
	unsigned long count;

	check_topic = "rep movs";
	reset_buffers();
	from = before;
	to = (void *)(registers + 0x80);
	count = 2;
	asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	CHECK(REGISTER(0x80) == SOURCE && REGISTER(0x88) == TARGET && count == 0);
	from = (void *)(registers + 0x80);
	to = after;
	count = 2;
	asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	CHECK(after[0] == SOURCE && after[1] == TARGET);
	check_topic = "rep stos";
	to = (void *)(registers + 0x80);
	count = 2;
	asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(OTHER) : "memory");
	CHECK(REGISTER(0x80) == OTHER && REGISTER(0x88) == OTHER);
}

/* What the library does depends on the processor and the size; where it moves words, edu takes them. */
static void check_library(void)
{
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	void *(*volatile fill)(void *, int, size_t) = memset;

	check_topic = "memcpy";
	for (size_t size = 16; size <= 32; size += 16) {
		reset_buffers();
		before[2] = 8;
		copy((void *)(registers + 0x80), before, size);
		CHECK(REGISTER(0x80) == SOURCE && REGISTER(0x88) == TARGET);
		copy(after, (void *)(registers + 0x80), size);
		CHECK(after[0] == SOURCE && after[1] == TARGET);
		if (size == 32)
			CHECK(after[2] == 8 && after[3] == 0);
	}
	check_topic = "memset";
	fill((void *)(registers + 0x80), 0, 16);
	CHECK(REGISTER(0x80) == 0 && REGISTER(0x88) == 0);
	/* All of a page, whatever the processor does: nothing is there to read. */
	copy((void *)(registers + 0x3000), (void *)(registers + 0x2000), 4096);
	fill((void *)(registers + 0x2000), 0, 4096);
	CHECK(1);
}

int main(void)
{
	check_start(60);
	open_device();
	if ((void *)registers == MAP_FAILED)
		return check_done();
	check_strings();
	check_sse();
	if (__builtin_cpu_supports("avx2"))
		check_avx();
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		check_avx512();
	check_library();
	return check_done();
}
