/*
 * match_copy.h - copying an LZ77 match inside the output, fast and a little too far.
 *
 * Most matches are short, so their length is worth no branch: both variants store more than most
 * matches need before they ask whether that was enough. Bytes up to FI_COPY_OVERRUN past the end may be
 * overwritten with anything, and as many past the current end of the output may be read and thrown
 * away; the caller has the room.
 *
 * A match whose distance is shorter than one store repeats a pattern. With D any multiple of the
 * distance, bytes D before the destination are the right ones as soon as they have been written, so
 * once one store's worth of pattern is down, copying can go on with a D that is at least as wide as a
 * store.
 */
#ifndef FASTIDX_MATCH_COPY_H
#define FASTIDX_MATCH_COPY_H

#include "common.h"

#define FI_COPY_OVERRUN 32 /* symbols */

/*
 * Any machine: eight symbols at a time. For shorter distances the first eight go one by one, then the
 * multiple of the distance in 8..14 serves.
 */
static const uint8_t fi_multiple_of_8[8] = {0, 8, 8, 9, 8, 10, 12, 14};

#define FI_DEFINE_COPY_MATCH(name, symbol) \
FI_ALWAYS_INLINE void name(symbol *dst, uint32_t distance, const symbol *end) \
{ \
	const symbol *src = dst - distance; \
\
	if (distance < 8) { \
		int i; \
\
		for (i = 0; i < 8; i++) \
			dst[i] = src[i]; \
		dst += 8; \
		src = dst - fi_multiple_of_8[distance]; \
	} \
	fi_copy_words(dst, src, sizeof(symbol)); \
	fi_copy_words(dst + 8, src + 8, sizeof(symbol)); \
	for (dst += 16, src += 16; dst < end; dst += 16, src += 16) { \
		fi_copy_words(dst, src, sizeof(symbol)); \
		fi_copy_words(dst + 8, src + 8, sizeof(symbol)); \
	} \
}

/* n words of eight bytes */
FI_ALWAYS_INLINE void fi_copy_words(void *dst, const void *src, size_t n)
{
	uint64_t v[2];

	memcpy(v, src, 8 * n);
	memcpy(dst, v, 8 * n);
}

FI_DEFINE_COPY_MATCH(fi_copy_match_bytes, uint8_t)
FI_DEFINE_COPY_MATCH(fi_copy_match_markers, uint16_t)

#if FI_X86_64 && FI_HAS_TARGET
#include <immintrin.h>

/* Row d of the table repeats 0 .. d-1; the last row, for 16 and more, is the identity. */
FI_ALIGNED(16) static const uint8_t fi_pattern_shuffle[17][16] = {
	{0},
	{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
	{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0},
	{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3},
	{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0},
	{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3},
	{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1},
	{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

/* The least multiple of each distance that is 16 or more. */
static const uint8_t fi_multiple_of_16[17] = {0, 16, 16, 18, 16, 20, 18, 21, 16, 18, 20, 22, 24, 26, 28, 30, 16};

/*
 * Sixteen bytes a store, and one path for all distances: the first store is shuffled into the pattern,
 * the others copy from a multiple of the distance. MNIST's rows mix distances of 1 with long ones, so a
 * branch on "short distance" would often be mispredicted.
 */
FI_TARGET("avx2,bmi2") FI_ALWAYS_INLINE void fi_copy_match_avx2_bytes(uint8_t *dst, uint32_t distance,
								    const uint8_t *end)
{
	const uint32_t row = distance < 16 ? distance : 16;
	const uint32_t multiple = distance < 16 ? fi_multiple_of_16[row] : distance;
	const __m128i shuffle = _mm_load_si128((const __m128i *)fi_pattern_shuffle[row]);
	const uint8_t *src = dst - distance;

	_mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)src), shuffle));
	dst += 16;
	src = dst - multiple;
	_mm_storeu_si128((__m128i *)dst, _mm_loadu_si128((const __m128i *)src));
	for (dst += 16, src += 16; dst < end; dst += 16, src += 16)
		_mm_storeu_si128((__m128i *)dst, _mm_loadu_si128((const __m128i *)src));
}

/*
 * The same for two-byte symbols, where a store holds too few of them for one path to serve all: patterns
 * of up to seven symbols by shuffle, sixteen symbols a store from a distance of sixteen on.
 */
FI_TARGET("avx2,bmi2") FI_ALWAYS_INLINE void fi_copy_match_avx2_markers(uint16_t *dst, uint32_t distance,
									 const uint16_t *end)
{
	const uint16_t *src = dst - distance;

	if (FI_UNLIKELY(distance < 16)) {
		if (distance < 8) {
			const __m128i shuffle =
				_mm_load_si128((const __m128i *)fi_pattern_shuffle[2 * distance]);
			const __m128i pattern = _mm_loadu_si128((const __m128i *)src);

			_mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(pattern, shuffle));
			dst += 8;
			src = dst - fi_multiple_of_8[distance];
		}
		do {
			_mm_storeu_si128((__m128i *)dst, _mm_loadu_si128((const __m128i *)src));
			dst += 8;
			src += 8;
		} while (dst < end);
		return;
	}
	_mm256_storeu_si256((__m256i *)dst, _mm256_loadu_si256((const __m256i *)src));
	_mm256_storeu_si256((__m256i *)(dst + 16), _mm256_loadu_si256((const __m256i *)(src + 16)));
	for (dst += 32, src += 32; dst < end; dst += 16, src += 16)
		_mm256_storeu_si256((__m256i *)dst, _mm256_loadu_si256((const __m256i *)src));
}
#endif

#endif /* FASTIDX_MATCH_COPY_H */
