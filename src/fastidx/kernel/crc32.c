/*
 * crc32.c - CRC-32 over cache-hot pieces of a decoded stream, and the joining of two CRCs.
 *
 * A CRC is a remainder: the text, read as a polynomial over GF(2), times x**32, modulo P. Anything
 * that leaves the text congruent modulo P leaves the CRC alone, and that is the whole trick of
 * "folding": a 16-byte stretch that lies D bits before another may be multiplied by x**D, reduced
 * to 16 bytes again, and added (XORed) to it. With carry-less multiplication that is two products,
 * one for each half of the stretch, by constants x**n mod P of 32 bits, so nothing overflows:
 *
 *     (H * x**64 + L) * x**D  =  H * x**(D+64) + L * x**D
 *
 * CRC-32 takes the bits of a byte least significant first. So a register loaded from memory in
 * little-endian order holds its highest power in bit 0: H is its LOW half, and the carry-less
 * product of two 64-bit halves (bit i = x**(63-i)) is a 127-bit number with x**126 in bit 0, where
 * a 128-bit register wants x**127. The product is thus read as x times too much, which is why the
 * constants in crc32_tables.h are x**(D+63) and x**(D-1).
 *
 * Long texts therefore cost two multiplications per vector of 16, 32 or 64 bytes. Short ones are
 * decided by latency: one vector chain, a shuffle that lines up the last 1 to 15 bytes instead of a
 * loop over them, and three multiplications for the last reduction. Below 16 bytes, and without
 * such instructions, eight tables take eight bytes a turn.
 *
 * No variant reads outside the text: the last vector is loaded so that it ends where the text ends.
 * There is nothing to refuse; every length and alignment is served.
 */
#include "crc32.h"
#include "cpu.h"
#include "crc32_tables.h"

/* The CRC register after these bytes, one at a time. */
static uint32_t update_bytes(uint32_t state, const uint8_t *in_next, size_t nbytes)
{
	while (nbytes-- != 0)
		state = (state >> 8) ^ crc32_slices[0][(state ^ *in_next++) & 0xFF];
	return state;
}

/*
 * Eight bytes a turn: byte i of the eight still has 7 - i bytes after it, which is what table 7 - i
 * accounts for, so the eight lookups are independent of each other.
 */
static uint32_t sliced_crc32(uint32_t state, const uint8_t *in_next, size_t nbytes)
{
	for (; nbytes >= 8; nbytes -= 8, in_next += 8) {
		const uint64_t w = fi_load_le64(in_next) ^ state;

		state = crc32_slices[7][w & 0xFF] ^
			crc32_slices[6][(w >> 8) & 0xFF] ^
			crc32_slices[5][(w >> 16) & 0xFF] ^
			crc32_slices[4][(w >> 24) & 0xFF] ^
			crc32_slices[3][(w >> 32) & 0xFF] ^
			crc32_slices[2][(w >> 40) & 0xFF] ^
			crc32_slices[1][(w >> 48) & 0xFF] ^
			crc32_slices[0][w >> 56];
	}
	return update_bytes(state, in_next, nbytes);
}

#if FI_X86_VARIANTS || FI_ARM_VARIANTS

/*
 * From 16 + t the bytes say "move t places down", from t "move 16 - t places up": shuffles put zero
 * where the index has its top bit set.
 */
static const uint8_t shift_indices[48] = {
	0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
};

#endif

#if FI_X86_VARIANTS

#include <immintrin.h>

#define TARGET_128 FI_TARGET("pclmul,ssse3,sse4.1")
#define TARGET_256 FI_TARGET("pclmul,ssse3,sse4.1,avx2,vpclmulqdq")
#define TARGET_512 FI_TARGET("pclmul,ssse3,sse4.1,avx2,vpclmulqdq,avx512f")

typedef __m128i v128_vec;
typedef __m256i v256_vec;
typedef __m512i v512_vec;

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_load(const void *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

/* The first bytes of a text: the register so far stands before them, that is, adds to the first. */
TARGET_128 FI_ALWAYS_INLINE v128_vec v128_start(uint32_t state, const uint8_t *p)
{
	return _mm_xor_si128(_mm_cvtsi32_si128((int)state), v128_load(p));
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_key(int k)
{
	return v128_load(crc32_fold_keys[k]);
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_fold(v128_vec v, v128_vec key, v128_vec next)
{
	const v128_vec low = _mm_clmulepi64_si128(v, key, 0x00);
	const v128_vec high = _mm_clmulepi64_si128(v, key, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, next), high);
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_narrow(v128_vec v)
{
	return v;
}

/*
 * Takes in the last t bytes of the text, 0 < t < 16, which ends at in_end and is longer than 16. Of
 * v and these, 16 + t bytes in all, the first t are folded onto the other 16.
 */
TARGET_128 FI_ALWAYS_INLINE v128_vec v128_append(v128_vec v, const uint8_t *in_end, size_t t)
{
	const v128_vec down = v128_load(shift_indices + 16 + t), up = v128_load(shift_indices + t);
	const v128_vec last_16 = v128_load(in_end - 16);
	const v128_vec rest = _mm_blendv_epi8(_mm_shuffle_epi8(v, down), last_16, down);

	return v128_fold(_mm_shuffle_epi8(v, up), v128_key(0), rest);
}

/*
 * The CRC register from 16 bytes H * x**64 + L: their product with x**32, modulo P. First H is
 * folded by 96 bits, which leaves T = H * (x**96 mod P) + L * x**32 of 96 bits, x**95 in bit 0.
 * Then Barrett: the quotient T div P is ((T div x**32) * (x**96 div P)) div x**64, exactly, as
 * polynomials do not carry; T div x**32 is the low half of the register, the quotient the low
 * half of the product, and the remainder, the 32 lowest powers, is in bits 64 to 95.
 */
TARGET_128 FI_ALWAYS_INLINE uint32_t v128_reduce(v128_vec v)
{
	const v128_vec x96 = _mm_cvtsi64_si128((int64_t)CRC32_X96);
	const v128_vec barrett = _mm_set_epi64x((int64_t)CRC32_P, (int64_t)CRC32_QUOTIENT);
	const v128_vec t = _mm_xor_si128(_mm_clmulepi64_si128(v, x96, 0x00), _mm_srli_si128(v, 8));
	const v128_vec quotient = _mm_clmulepi64_si128(t, barrett, 0x00);
	const v128_vec multiple = _mm_clmulepi64_si128(quotient, barrett, 0x10);

	return (uint32_t)_mm_extract_epi32(_mm_xor_si128(t, multiple), 2);
}

TARGET_256 FI_ALWAYS_INLINE v256_vec v256_load(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

TARGET_256 FI_ALWAYS_INLINE v256_vec v256_start(uint32_t state, const uint8_t *p)
{
	return _mm256_xor_si256(_mm256_setr_epi32((int)state, 0, 0, 0, 0, 0, 0, 0), v256_load(p));
}

TARGET_256 FI_ALWAYS_INLINE v256_vec v256_key(int k)
{
	return _mm256_broadcastsi128_si256(v128_key(k));
}

TARGET_256 FI_ALWAYS_INLINE v256_vec v256_fold(v256_vec v, v256_vec key, v256_vec next)
{
	const v256_vec low = _mm256_clmulepi64_epi128(v, key, 0x00);
	const v256_vec high = _mm256_clmulepi64_epi128(v, key, 0x11);

	return _mm256_xor_si256(_mm256_xor_si256(low, next), high);
}

TARGET_256 FI_ALWAYS_INLINE v128_vec v256_narrow(v256_vec v)
{
	return v128_fold(_mm256_castsi256_si128(v), v128_key(0), _mm256_extracti128_si256(v, 1));
}

TARGET_512 FI_ALWAYS_INLINE v512_vec v512_load(const void *p)
{
	return _mm512_loadu_si512(p);
}

TARGET_512 FI_ALWAYS_INLINE v512_vec v512_start(uint32_t state, const uint8_t *p)
{
	const v512_vec before = _mm512_setr_epi32((int)state, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0);

	return _mm512_xor_si512(before, v512_load(p));
}

TARGET_512 FI_ALWAYS_INLINE v512_vec v512_key(int k)
{
	return _mm512_broadcast_i32x4(v128_key(k));
}

TARGET_512 FI_ALWAYS_INLINE v512_vec v512_fold(v512_vec v, v512_vec key, v512_vec next)
{
	const v512_vec low = _mm512_clmulepi64_epi128(v, key, 0x00);
	const v512_vec high = _mm512_clmulepi64_epi128(v, key, 0x11);

	return _mm512_ternarylogic_epi64(low, next, high, 0x96); /* XOR of the three */
}

TARGET_512 FI_ALWAYS_INLINE v128_vec v512_narrow(v512_vec v)
{
	const v256_vec low = _mm512_castsi512_si256(v), high = _mm512_extracti64x4_epi64(v, 1);

	return v256_narrow(v256_fold(low, v256_key(1), high));
}

#elif FI_ARM_VARIANTS

#include <arm_acle.h>
#include <arm_neon.h>

/* Below this the latency of the last reduction outweighs the shorter chain. An estimate. */
#define ARM_FOLD_MIN_NBYTES 128

/*
 * The two compilers spell the attribute differently, and the header of older clangs offers
 * __crc32d() only where the whole file is compiled for it.
 */
#if defined(__clang__)
#  define TARGET_CRC FI_TARGET("crc")
#  define TARGET_128 FI_TARGET("crc,aes")
#  define crc32_1byte(state, byte)   __builtin_arm_crc32b(state, byte)
#  define crc32_8bytes(state, word)  __builtin_arm_crc32d(state, word)
#else
#  define TARGET_CRC FI_TARGET("+crc")
#  define TARGET_128 FI_TARGET("+crc+crypto")
#  define crc32_1byte(state, byte)   __crc32b(state, byte)
#  define crc32_8bytes(state, word)  __crc32d(state, word)
#endif

/* The processor's own instruction: 8 bytes each 2 or 3 cycles, best for short texts. */
TARGET_CRC static uint32_t arm_crc32(uint32_t state, const uint8_t *in_next, size_t nbytes)
{
	for (; nbytes >= 8; nbytes -= 8, in_next += 8)
		state = crc32_8bytes(state, fi_load_le64(in_next));
	while (nbytes-- != 0)
		state = crc32_1byte(state, *in_next++);
	return state;
}

typedef uint8x16_t v128_vec;

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_load(const void *p)
{
	return vld1q_u8((const uint8_t *)p);
}

/* The first bytes of a text: the register so far stands before them, that is, adds to the first. */
TARGET_128 FI_ALWAYS_INLINE v128_vec v128_start(uint32_t state, const uint8_t *p)
{
	const v128_vec before = vreinterpretq_u8_u32(vsetq_lane_u32(state, vdupq_n_u32(0), 0));

	return veorq_u8(before, v128_load(p));
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_key(int k)
{
	return v128_load(crc32_fold_keys[k]);
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_fold(v128_vec v, v128_vec key, v128_vec next)
{
	const poly64x2_t a = vreinterpretq_p64_u8(v), b = vreinterpretq_p64_u8(key);
	const v128_vec low = vreinterpretq_u8_p128(
		vmull_p64((poly64_t)vgetq_lane_p64(a, 0), (poly64_t)vgetq_lane_p64(b, 0)));
	const v128_vec high = vreinterpretq_u8_p128(vmull_high_p64(a, b));

	return veorq_u8(veorq_u8(low, next), high);
}

TARGET_128 FI_ALWAYS_INLINE v128_vec v128_narrow(v128_vec v)
{
	return v;
}

/*
 * Takes in the last t bytes of the text, 0 < t < 16, which ends at in_end and is longer than 16. Of
 * v and these, 16 + t bytes in all, the first t are folded onto the other 16.
 */
TARGET_128 FI_ALWAYS_INLINE v128_vec v128_append(v128_vec v, const uint8_t *in_end, size_t t)
{
	const v128_vec down = v128_load(shift_indices + 16 + t), up = v128_load(shift_indices + t);
	const v128_vec last_16 = v128_load(in_end - 16);
	const v128_vec is_last = vtstq_u8(down, vdupq_n_u8(0x80));
	const v128_vec rest = vbslq_u8(is_last, last_16, vqtbl1q_u8(v, down));

	return v128_fold(vqtbl1q_u8(v, up), v128_key(0), rest);
}

/* The CRC register from 16 bytes: the instruction does just that. */
TARGET_128 FI_ALWAYS_INLINE uint32_t v128_reduce(v128_vec v)
{
	const uint64x2_t halves = vreinterpretq_u64_u8(v);

	const uint32_t state = crc32_8bytes(0, vgetq_lane_u64(halves, 0));

	return crc32_8bytes(state, vgetq_lane_u64(halves, 1));
}

#endif

#if FI_X86_VARIANTS || FI_ARM_VARIANTS

/* The CRC register, given the text up to in_next as v and nbytes to go; the text fills a vector. */
TARGET_128 FI_ALWAYS_INLINE uint32_t v128_finish(v128_vec v, const uint8_t *in_next, size_t nbytes)
{
	for (; nbytes >= 16; nbytes -= 16, in_next += 16)
		v = v128_fold(v, v128_key(0), v128_load(in_next));
	if (nbytes != 0)
		v = v128_append(v, in_next + nbytes, nbytes);
	return v128_reduce(v);
}

#define FOLD_LOG2   0
#define FOLD_TARGET TARGET_128
#define FOLD_OP(op) v128_##op
#include "crc32_fold.h"

#endif

#if FI_X86_VARIANTS

#define FOLD_LOG2   1
#define FOLD_TARGET TARGET_256
#define FOLD_OP(op) v256_##op
#include "crc32_fold.h"

#define FOLD_LOG2   2
#define FOLD_TARGET TARGET_512
#define FOLD_OP(op) v512_##op
#include "crc32_fold.h"

#endif

struct variant {
	const char *name;
	uint32_t (*update)(uint32_t state, const uint8_t *in_next, size_t nbytes);
};

/* The one decision, by what the processor has and what the text's length is worth. */
FI_ALWAYS_INLINE struct variant choose(size_t nbytes)
{
#if FI_X86_VARIANTS
	const struct variant v512 = { "vpclmul_512", v512_crc32 };
	const struct variant v256 = { "vpclmul", v256_crc32 };
	const struct variant v128 = { "pclmul", v128_crc32 };

	if (nbytes >= 64 && fi_cpu()->vpclmul_512)
		return v512;
	if (nbytes >= 32 && fi_cpu()->vpclmul)
		return v256;
	if (nbytes >= 16 && fi_cpu()->pclmul)
		return v128;
#elif FI_ARM_VARIANTS
	const struct variant v128 = { "pmull", v128_crc32 }, crc = { "crc", arm_crc32 };

	if (nbytes >= ARM_FOLD_MIN_NBYTES && fi_cpu()->arm_pmull)
		return v128;
	if (fi_cpu()->arm_crc)
		return crc;
#else
	(void)nbytes;
#endif
	return (struct variant){ "sliced", sliced_crc32 };
}

uint32_t fi_crc32(uint32_t crc, const uint8_t *data, size_t nbytes)
{
	return ~choose(nbytes).update(~crc, data, nbytes);
}

const char *fi_crc32_variant(void)
{
	return choose(SIZE_MAX).name;
}

/* The product a * b modulo P, bit i of each standing for x**(31-i): shift and add. */
static uint32_t multiply_mod(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a != 0; a <<= 1) {
		product ^= b & (0u - (a >> 31));
		b = (b >> 1) ^ (0xEDB88320 & (0u - (b & 1)));
	}
	return product;
}

/*
 * Text b moves text a ahead by 8 * nbytes_b bits, and the inversions cancel: the CRC of a is
 * multiplied by x to that power, that is by x**(2**(k+3)) for each bit k of nbytes_b. The powers
 * repeat after 32, for x**(2**32) is x.
 */
uint32_t fi_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t nbytes_b)
{
	for (unsigned k = 3; nbytes_b != 0; k++, nbytes_b >>= 1) {
		if (nbytes_b & 1)
			crc_a = multiply_mod(crc_a, crc32_powers[k % 32]);
	}
	return crc_a ^ crc_b;
}
