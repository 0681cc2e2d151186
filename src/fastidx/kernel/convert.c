/*
 * convert.c - the byte order of slices of items while they are hot in the cache.
 *
 * The loop is written for the vectoriser: turns of a constant number of bytes, which even gcc's -O2
 * turns into one load, one byte shuffle and one store per vector. (With a count known only at run
 * time it stays scalar there, at a sixth of the speed.) It is compiled once for the baseline and
 * once for AVX2. The latter moves 80 GB/s, what intrinsics reached too; so there are none.
 *
 * Refused: nothing at run time. A width that no IDX type has is the caller's mistake.
 */
#include "convert.h"
#include "cpu.h"

#include <assert.h>

#define TURN_NBYTES 64 /* two AVX2 vectors; any multiple of all item sizes is correct */

#if FI_X86_64 && FI_HAS_TARGET
#  define SWAP_AVX2 1
#else
#  define SWAP_AVX2 0
#endif

FI_ALWAYS_INLINE void swap_item(uint8_t *dst, const uint8_t *src, unsigned item_nbytes)
{
	if (item_nbytes == 2) {
		uint16_t v;

		memcpy(&v, src, sizeof(v));
		v = fi_bswap16(v);
		memcpy(dst, &v, sizeof(v));
	} else if (item_nbytes == 4) {
		uint32_t v;

		memcpy(&v, src, sizeof(v));
		v = fi_bswap32(v);
		memcpy(dst, &v, sizeof(v));
	} else {
		uint64_t v;

		memcpy(&v, src, sizeof(v));
		v = fi_bswap64(v);
		memcpy(dst, &v, sizeof(v));
	}
}

/* To be called with a constant item size. */
FI_ALWAYS_INLINE void swap_items(uint8_t *dst, const uint8_t *src,
				 size_t nitems, unsigned item_nbytes)
{
	size_t left_nbytes = nitems * item_nbytes;

	for (; left_nbytes >= TURN_NBYTES; left_nbytes -= TURN_NBYTES) {
		for (size_t i = 0; i < TURN_NBYTES / item_nbytes; i++)
			swap_item(dst + i * item_nbytes, src + i * item_nbytes, item_nbytes);
		dst += TURN_NBYTES;
		src += TURN_NBYTES;
	}
	for (; left_nbytes != 0; left_nbytes -= item_nbytes) {
		swap_item(dst, src, item_nbytes);
		dst += item_nbytes;
		src += item_nbytes;
	}
}

FI_ALWAYS_INLINE void swap_any(uint8_t *dst, const uint8_t *src,
			       size_t nitems, unsigned item_nbytes)
{
	assert(item_nbytes == 2 || item_nbytes == 4 || item_nbytes == 8);
	if (item_nbytes == 2)
		swap_items(dst, src, nitems, 2);
	else if (item_nbytes == 4)
		swap_items(dst, src, nitems, 4);
	else
		swap_items(dst, src, nitems, 8);
}

/* "restrict" stands here, not above, for gcc forgets it of inlined functions, and then gives up. */
static void portable_swap(uint8_t *restrict dst, const uint8_t *restrict src,
			  size_t nitems, unsigned item_nbytes)
{
	swap_any(dst, src, nitems, item_nbytes);
}

#if SWAP_AVX2
FI_TARGET("avx2")
static void avx2_swap(uint8_t *restrict dst, const uint8_t *restrict src,
		      size_t nitems, unsigned item_nbytes)
{
	swap_any(dst, src, nitems, item_nbytes);
}
#endif

static bool use_avx2(void)
{
	return SWAP_AVX2 && fi_cpu()->avx2;
}

void fi_swap(uint8_t *dst, const uint8_t *src, size_t nitems, unsigned item_nbytes)
{
	if (nitems == 0)
		return; /* memcpy() wants real pointers even so */
	if (item_nbytes == 1 || FI_BIG_ENDIAN)
		memcpy(dst, src, nitems * item_nbytes);
#if SWAP_AVX2
	else if (use_avx2())
		avx2_swap(dst, src, nitems, item_nbytes);
#endif
	else
		portable_swap(dst, src, nitems, item_nbytes);
}

const char *fi_swap_variant(void)
{
	return use_avx2() ? "avx2" : "portable";
}
