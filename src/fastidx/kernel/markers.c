/*
 * markers.c - turns the 16-bit symbols of a speculative decode into bytes.
 *
 * Every decoded byte passes through here, so a look-up in a table for each is the thing to
 * beat. It is done eight to a store: 0.16 ns a symbol.
 *
 * With AVX-512 one look-up serves many symbols. A match copies neighbours from the window, and
 * later matches copy these again, so markers come in runs whose bytes lie close together: 64
 * symbols of an MNIST file name no more than two or three different lines of the window, where
 * a line is 128 bytes. Bits 0 to 6 of a symbol are the place in the line, bits 7 to 15 are the
 * line, and picking 64 places out of 128 bytes is a single instruction (VPERMI2B). So each line
 * is applied to all 64 symbols, and its picks are kept where the symbol is a marker of that
 * line.
 *
 * How many lines there are is not predictable, and a mispredicted branch costs as much as two
 * more lines. Hence rounds of four, with no question asked inside: lines that are not there, or
 * are there for the second time, do no harm. A line is taken from each marker that continues no
 * run, that is, does not follow a marker of its own line.
 *
 * That suits images. In text 64 symbols name ten lines or more, and then the table is faster;
 * so the rounds are counted, and stretches that follow a costly one go through the table.
 *
 * There is nothing to refuse: any symbol indexes the table. Nothing but the n symbols is read,
 * nothing but the n bytes is written.
 */
#include "markers.h"

#include "cpu.h"

void fi_markers_fill_window(uint16_t window[DEFLATE_WINDOW_NBYTES])
{
	for (unsigned i = 0; i < DEFLATE_WINDOW_NBYTES; i++)
		window[i] = (uint16_t)(0x8000 + i);
}

void fi_markers_set_window(struct fi_marker_table *table,
			   const uint8_t window[DEFLATE_WINDOW_NBYTES])
{
	for (unsigned i = 0; i < 256; i++)
		table->byte_of[i] = (uint8_t)i;
	memcpy(table->byte_of + 0x8000, window, DEFLATE_WINDOW_NBYTES);
}

/*
 * As signed numbers markers are negative, the lowest one first; the plain loop is easily
 * vectorised.
 */
uint32_t fi_markers_lowest(const uint16_t *symbols, size_t n)
{
	int16_t lowest = 0;

	for (size_t i = 0; i < n; i++) {
		const int16_t symbol = (int16_t)symbols[i];

		lowest = symbol < lowest ? symbol : lowest;
	}
	return (uint32_t)(lowest + 0x8000);
}

static void portable_resolve(const struct fi_marker_table *table, uint8_t *dst,
			     const uint16_t *symbols, size_t n)
{
	const uint8_t *const byte_of = table->byte_of;

	for (; n >= 8; n -= 8, symbols += 8, dst += 8) {
		const uint64_t bytes = (uint64_t)byte_of[symbols[0]] |
			(uint64_t)byte_of[symbols[1]] << 8 |
			(uint64_t)byte_of[symbols[2]] << 16 |
			(uint64_t)byte_of[symbols[3]] << 24 |
			(uint64_t)byte_of[symbols[4]] << 32 |
			(uint64_t)byte_of[symbols[5]] << 40 |
			(uint64_t)byte_of[symbols[6]] << 48 |
			(uint64_t)byte_of[symbols[7]] << 56;
		const uint64_t in_order = FI_BIG_ENDIAN ? fi_bswap64(bytes) : bytes;

		memcpy(dst, &in_order, 8);
	}
	while (n-- != 0)
		*dst++ = byte_of[*symbols++];
}

#if FI_X86_VARIANTS

#include <immintrin.h>

#define TARGET_VBMI FI_TARGET("avx512f,avx512bw,avx512vbmi,bmi")

#define GROUP            64   /* symbols at once: the bytes of a vector */
#define LINES_PER_ROUND  4    /* 3 to 5 do equally well on MNIST */
#define STRETCH          4096 /* symbols after which the rounds are looked at */

/*
 * From so many rounds for each group the table is faster: one costs 10 to 15 cycles, 64
 * look-ups 43.
 */
#define COSTLY_ROUNDS    2
/* Stretches that then go through the table, before the lines are given another try. */
#define TABLE_STRETCHES  8

/* The number of the byte before each byte, and from the second entry on, of each byte itself. */
static const uint8_t byte_before[1 + GROUP] = {
	0,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
	32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
	48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
};

/* Resolves one group and returns how many rounds that took. */
TARGET_VBMI FI_ALWAYS_INLINE unsigned resolve_group(const uint8_t *window, uint8_t *dst,
						    const uint16_t *symbols)
{
	const __m512i before = _mm512_loadu_si512(byte_before);
	const __m512i numbers = _mm512_loadu_si512(byte_before + 1);
	const __m512i even = _mm512_add_epi8(numbers, numbers);
	const __m512i a = _mm512_loadu_si512(symbols), b = _mm512_loadu_si512(symbols + 32);
	const __m512i places = _mm512_permutex2var_epi8(a, even, b); /* bit 7 is not looked at */
	const __m512i lines = _mm512_permutex2var_epi8(_mm512_srli_epi16(a, 7), even,
						       _mm512_srli_epi16(b, 7));
	const uint64_t markers = _mm512_movepi16_mask(a) | (uint64_t)_mm512_movepi16_mask(b) << 32;
	const uint64_t same_line = _mm512_cmpeq_epi8_mask(lines,
							  _mm512_permutexvar_epi8(before, lines));
	uint64_t starts = markers & ~(same_line & markers << 1);
	__m512i bytes = places; /* right for all that are no markers */
	unsigned rounds = 0;

	do {
		for (unsigned i = 0; i < LINES_PER_ROUND; i++) {
			/* Without a start left: symbol 0. If a byte, it names some line too. */
			const unsigned symbol = symbols[_tzcnt_u64(starts) % GROUP];
			const uint8_t *const line = window + (symbol & 0x7F80);
			const __m512i picks = _mm512_permutex2var_epi8(
				_mm512_loadu_si512(line), places, _mm512_loadu_si512(line + 64));
			const uint64_t here = _mm512_mask_cmpeq_epi8_mask(
				markers, lines, _mm512_set1_epi8((char)(symbol >> 7)));

			bytes = _mm512_mask_mov_epi8(bytes, here, picks);
			starts &= starts - 1;
		}
		rounds++;
	} while (FI_UNLIKELY(starts != 0));
	_mm512_storeu_si512(dst, bytes);
	return rounds;
}

TARGET_VBMI static void vbmi_resolve(const struct fi_marker_table *table, uint8_t *dst,
				     const uint16_t *symbols, size_t n)
{
	while (n >= GROUP) {
		const size_t stretch = n < STRETCH ? n / GROUP * GROUP : STRETCH;
		size_t i, rounds = 0;

		for (i = 0; i < stretch; i += GROUP)
			rounds += resolve_group(table->byte_of + 0x8000, dst + i, symbols + i);
		dst += stretch;
		symbols += stretch;
		n -= stretch;
		if (rounds >= COSTLY_ROUNDS * (stretch / GROUP)) {
			i = n < TABLE_STRETCHES * STRETCH ? n : TABLE_STRETCHES * STRETCH;
			portable_resolve(table, dst, symbols, i);
			dst += i;
			symbols += i;
			n -= i;
		}
	}
	portable_resolve(table, dst, symbols, n);
}

static bool use_vbmi(void)
{
	return fi_cpu()->vbmi_512 && fi_cpu()->bmi2;
}

#endif

void fi_markers_resolve(const struct fi_marker_table *table, uint8_t *dst, const uint16_t *symbols,
			size_t n)
{
#if FI_X86_VARIANTS
	if (use_vbmi()) {
		vbmi_resolve(table, dst, symbols, n);
		return;
	}
#endif
	portable_resolve(table, dst, symbols, n);
}

const char *fi_markers_variant(void)
{
#if FI_X86_VARIANTS
	if (use_vbmi())
		return "vbmi_512";
#endif
	return "portable";
}
