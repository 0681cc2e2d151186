/*
 * convert.c - slices of items on their way to an array, while they are hot in the cache: byte
 * order, and 8-bit items through a table.
 *
 * Byte order. The loop is written for the vectoriser: turns of a constant number of bytes, which
 * even gcc's -O2 turns into one load, one byte shuffle and one store per vector. (With a count
 * known only at run time it stays scalar there, at a sixth of the speed.) It is compiled once for
 * the baseline and once for AVX2. The latter moves 80 GB/s, what intrinsics reached too; so there
 * are none.
 *
 * Tables. Whatever is to become of an 8-bit item, there are only 256 answers, so the kernel knows
 * no arithmetic: it looks them up, and is as exact as who computed the table. The portable loop
 * takes less than a cycle an item. AVX-512 VBMI looks up 64 bytes at a time in a table that stays
 * in registers, one lookup for each byte of an entry, and is bound by the memory that it fills. On
 * a Zen 5, slices of 64 KiB and entries of 4 bytes, that is 0.03 ns an item in the cache, against
 * 0.17 for the portable loop, 0.29 and 0.35 for gathers of 16 and of 8, 0.11 for lookups of whole
 * entries, and 0.06 (0.15 with AVX2) for computing x * scale + offset in float64 every time.
 * Non-temporal stores lose a quarter on new pages, which the system has just cleared in the cache.
 *
 * Refused: nothing at run time. A width that no item has is the caller's mistake.
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

FI_ALWAYS_INLINE void put_entry(uint8_t *dst, const uint8_t *table, size_t number,
				unsigned entry_nbytes)
{
	memcpy(dst, table + number * entry_nbytes, entry_nbytes);
}

/*
 * To be called with a constant entry size. The bytes come by shifts from one word because, given
 * eight loads and eight stores in a row, gcc builds vectors from single entries, at twice the time.
 */
FI_ALWAYS_INLINE void expand_items(uint8_t *restrict dst, const uint8_t *restrict src,
				   size_t nitems, const uint8_t *table, unsigned entry_nbytes)
{
	for (; nitems >= 8; nitems -= 8) {
		uint64_t numbers = fi_load_le64(src);

		for (unsigned i = 0; i < 8; i++, numbers >>= 8)
			put_entry(dst + i * entry_nbytes, table, numbers & 0xFF, entry_nbytes);
		dst += 8 * entry_nbytes;
		src += 8;
	}
	for (; nitems != 0; nitems--, dst += entry_nbytes)
		put_entry(dst, table, *src++, entry_nbytes);
}

static void portable_expand(uint8_t *restrict dst, const uint8_t *restrict src, size_t nitems,
			    const uint8_t *table, unsigned entry_nbytes)
{
	assert(entry_nbytes == 1 || entry_nbytes == 2 || entry_nbytes == 4 || entry_nbytes == 8);
	if (entry_nbytes == 1)
		expand_items(dst, src, nitems, table, 1);
	else if (entry_nbytes == 2)
		expand_items(dst, src, nitems, table, 2);
	else if (entry_nbytes == 4)
		expand_items(dst, src, nitems, table, 4);
	else
		expand_items(dst, src, nitems, table, 8);
}

#if FI_X86_VARIANTS

#include <immintrin.h>

#define VBMI_TARGET FI_TARGET("avx512f,avx512bw,avx512vbmi")
#define VBMI_TURN   64

/* About where the lookups save what it takes to split a table of 8-byte entries into planes. */
#define VBMI_MIN_NITEMS 1024

/* Byte k of every entry; a lookup in it gives byte k of 64 items. */
struct plane {
	__m512i quarters[4];
};

VBMI_TARGET FI_ALWAYS_INLINE struct plane load_plane(const uint8_t bytes[256])
{
	struct plane plane;

	for (unsigned i = 0; i < 4; i++)
		plane.quarters[i] = _mm512_loadu_si512(bytes + 64 * i);
	return plane;
}

/* An instruction chooses among 128 bytes by the low seven bits; upper has the eighth. */
VBMI_TARGET FI_ALWAYS_INLINE __m512i look_up(struct plane plane, __m512i numbers)
{
	const __m512i *q = plane.quarters;
	const __mmask64 upper = _mm512_movepi8_mask(numbers);

	return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(q[0], numbers, q[1]),
				      _mm512_permutex2var_epi8(q[2], numbers, q[3]));
}

/*
 * To interleave the bytes of one item is what the unpack instructions do, but only within each of
 * a register's four lanes of 16 bytes, and the items of one lane then stand in the same lane of all
 * entry_nbytes registers to be stored. So the items are dealt to the lanes beforehand, in groups
 * that fill a lane when expanded: lane l gets groups l, l + 4, l + 8 ...
 */
VBMI_TARGET FI_ALWAYS_INLINE __m512i dealing_order(unsigned entry_nbytes)
{
	const unsigned group = 16 / entry_nbytes;
	uint8_t order[64];

	for (unsigned i = 0; i < 64; i++)
		order[i] = (uint8_t)((i % 16 / group * 4 + i / 16) * group + i % group);
	return _mm512_loadu_si512(order);
}

/* Bytes k..k+3 of all items, from four lookups, in the order of the lanes. */
VBMI_TARGET FI_ALWAYS_INLINE void interleave_4(__m512i items[4], const struct plane planes[4],
					       __m512i numbers)
{
	const __m512i b0 = look_up(planes[0], numbers), b1 = look_up(planes[1], numbers);
	const __m512i b2 = look_up(planes[2], numbers), b3 = look_up(planes[3], numbers);
	const __m512i b01_low = _mm512_unpacklo_epi8(b0, b1);
	const __m512i b01_high = _mm512_unpackhi_epi8(b0, b1);
	const __m512i b23_low = _mm512_unpacklo_epi8(b2, b3);
	const __m512i b23_high = _mm512_unpackhi_epi8(b2, b3);

	items[0] = _mm512_unpacklo_epi16(b01_low, b23_low);
	items[1] = _mm512_unpackhi_epi16(b01_low, b23_low);
	items[2] = _mm512_unpacklo_epi16(b01_high, b23_high);
	items[3] = _mm512_unpackhi_epi16(b01_high, b23_high);
}

/* 64 items. To be called with a constant entry size. */
VBMI_TARGET FI_ALWAYS_INLINE void vbmi_turn(uint8_t *dst, __m512i numbers,
					    const struct plane *planes, unsigned entry_nbytes)
{
	__m512i items[8];

	if (entry_nbytes == 1) {
		items[0] = look_up(planes[0], numbers);
	} else if (entry_nbytes == 2) {
		const __m512i b0 = look_up(planes[0], numbers), b1 = look_up(planes[1], numbers);

		items[0] = _mm512_unpacklo_epi8(b0, b1);
		items[1] = _mm512_unpackhi_epi8(b0, b1);
	} else if (entry_nbytes == 4) {
		interleave_4(items, planes, numbers);
	} else {
		__m512i low[4], high[4];

		interleave_4(low, planes, numbers);
		interleave_4(high, planes + 4, numbers);
		for (unsigned i = 0; i < 4; i++) {
			items[2 * i] = _mm512_unpacklo_epi32(low[i], high[i]);
			items[2 * i + 1] = _mm512_unpackhi_epi32(low[i], high[i]);
		}
	}
	for (unsigned i = 0; i < entry_nbytes; i++)
		_mm512_storeu_si512(dst + VBMI_TURN * i, items[i]);
}

/* To be called with a constant entry size. */
VBMI_TARGET FI_ALWAYS_INLINE void vbmi_items(uint8_t *restrict dst, const uint8_t *restrict src,
					     size_t nitems, const uint8_t *table,
					     unsigned entry_nbytes)
{
	const __m512i order = dealing_order(entry_nbytes);
	struct plane planes[8];
	uint8_t bytes[256];

	for (unsigned k = 0; k < entry_nbytes; k++) {
		for (unsigned i = 0; i < 256; i++)
			bytes[i] = table[i * entry_nbytes + k];
		planes[k] = load_plane(bytes);
	}
	for (; nitems >= VBMI_TURN; nitems -= VBMI_TURN) {
		const __m512i numbers = _mm512_permutexvar_epi8(order, _mm512_loadu_si512(src));

		vbmi_turn(dst, numbers, planes, entry_nbytes);
		dst += VBMI_TURN * entry_nbytes;
		src += VBMI_TURN;
	}
	expand_items(dst, src, nitems, table, entry_nbytes);
}

VBMI_TARGET
static void vbmi_expand(uint8_t *restrict dst, const uint8_t *restrict src, size_t nitems,
			const uint8_t *table, unsigned entry_nbytes)
{
	if (entry_nbytes == 1)
		vbmi_items(dst, src, nitems, table, 1);
	else if (entry_nbytes == 2)
		vbmi_items(dst, src, nitems, table, 2);
	else if (entry_nbytes == 4)
		vbmi_items(dst, src, nitems, table, 4);
	else
		vbmi_items(dst, src, nitems, table, 8);
}

#endif

static bool use_vbmi(void)
{
	return FI_X86_VARIANTS && fi_cpu()->vbmi_512;
}

void fi_expand(uint8_t *dst, const uint8_t *src, size_t nitems,
	       const void *table, unsigned entry_nbytes)
{
#if FI_X86_VARIANTS
	if (use_vbmi() && nitems >= VBMI_MIN_NITEMS) {
		vbmi_expand(dst, src, nitems, table, entry_nbytes);
		return;
	}
#endif
	portable_expand(dst, src, nitems, table, entry_nbytes);
}

const char *fi_expand_variant(void)
{
	return use_vbmi() ? "vbmi_512" : "portable";
}

/* Eight answers are ORed before any is looked at: a branch for each byte would cost more. */
size_t fi_find_marked(const uint8_t *src, size_t nbytes, const uint8_t marked[256])
{
	size_t i = 0;

	for (; nbytes - i >= 8; i += 8) {
		uint64_t numbers = fi_load_le64(src + i);
		uint8_t any = 0;

		for (unsigned j = 0; j < 8; j++, numbers >>= 8)
			any |= marked[numbers & 0xFF];
		if (any)
			break;
	}
	while (i < nbytes && !marked[src[i]])
		i++;
	return i;
}
