/*
 * block_finder.c - guesses where a DEFLATE block begins, anywhere in a stream.
 *
 * A dynamic block says much about itself before its first symbol: counts within limits, and
 * three Huffman codes that a writer has no reason to leave incomplete. Of random bits, one
 * offset in 9 has the right block type and counts, one in 2300 has a complete code length code
 * too, and one in some 4 * 10**9 has all three codes. Hence the order of the tests, each for
 * what the one before leaves over:
 *
 *     block type and counts  32 offsets at once: bit i of (w >> n) is bit n of the header at i
 *     code length code       the sum of 2**-length must be 1: five look-ups, of four lengths each
 *     the two other codes    decoded, given up where the sum exceeds 1
 *
 * Together that takes 0.7 ns for each bit of the stream.
 *
 * A stored block says less: three bits zero, zeros up to the byte boundary as every writer pads
 * them, a length and its complement, which one byte in 2**19 of random data looks like. So the
 * header that follows its data must be acceptable as well. Dynamic and stored headers can be
 * tested there in the same way. A fixed one cannot; it would let one in four of the false
 * starts pass, so it is accepted only behind an empty block, for that is what writers flush
 * with, often before fixed blocks, and what it takes is long enough not to occur by chance. A
 * true start that is passed over for this only makes the next one the first.
 *
 * What it refuses. No input makes it read outside the buffer, where zeros are read instead, or
 * spend more than some 300 ns per bit: offsets with the right block type are at least three
 * bits apart, and a header has at most 316 code lengths. The worst that a search for costly
 * patterns came up with was 75 ns.
 */
#include "block_finder.h"

#include "huffman.h"

#if defined(_MSC_VER)
#  include <intrin.h>
#endif

#define COUNTS_NBITS 17u /* BFINAL, BTYPE, HLIT, HDIST and HCLEN */

struct stream {
	const uint8_t *data;
	uint64_t nbytes;
};

/* The 57 bits from `bit` on, the first one lowest, and 64 where it is a byte's first. */
FI_ALWAYS_INLINE uint64_t peek(const struct stream *s, uint64_t bit)
{
	const uint64_t byte = bit >> 3;
	uint64_t word = 0;

	if (FI_LIKELY(s->nbytes >= 8 && byte <= s->nbytes - 8))
		return fi_load_le64(s->data + byte) >> (bit & 7);
	for (unsigned i = 0; i < 8 && byte + i < s->nbytes; i++)
		word |= (uint64_t)s->data[byte + i] << (8 * i);
	return word >> (bit & 7);
}

FI_ALWAYS_INLINE unsigned lowest_bit(uint32_t v)
{
#if defined(__GNUC__) || defined(__clang__)
	return (unsigned)__builtin_ctz(v);
#elif defined(_MSC_VER)
	unsigned long i;

	_BitScanForward(&i, v);
	return i;
#else
	unsigned i = 0;

	for (; !(v & 1); v >>= 1)
		i++;
	return i;
#endif
}

/* ---- Dynamic blocks, RFC 1951, section 3.2.7 ------------------------------------------------- */

/*
 * Bit i: BFINAL 0, BTYPE 10 and counts within the limits would stand at bit i of w, for as many
 * i as w has 12 bits above. HLIT and HDIST, five bits each, must not be 30 or 31, their upper
 * four bits not all ones.
 */
FI_ALWAYS_INLINE uint64_t dynamic_starts(uint64_t w)
{
	const uint64_t two_ones = w & (w >> 1);
	const uint64_t four_ones = two_ones & (two_ones >> 2);

	return (w >> 2) & ~(w | (w >> 1) | (four_ones >> 4) | (four_ones >> 9));
}

/*
 * 128 * 2**-length summed over four lengths of three bits, with length 0 for no codeword. It is
 * 256 at most; 255 will do for that, being past 128 too.
 */
#define SUM_0(s) ((s) - ((s) >> 8))
#define SUM_1(s) SUM_0(s), SUM_0((s) + 64), SUM_0((s) + 32), SUM_0((s) + 16), \
		 SUM_0((s) + 8), SUM_0((s) + 4), SUM_0((s) + 2), SUM_0((s) + 1)
#define SUM_2(s) SUM_1(s), SUM_1((s) + 64), SUM_1((s) + 32), SUM_1((s) + 16), \
		 SUM_1((s) + 8), SUM_1((s) + 4), SUM_1((s) + 2), SUM_1((s) + 1)
#define SUM_3(s) SUM_2(s), SUM_2((s) + 64), SUM_2((s) + 32), SUM_2((s) + 16), \
		 SUM_2((s) + 8), SUM_2((s) + 4), SUM_2((s) + 2), SUM_2((s) + 1)

static const uint8_t sum_of_four[1 << 12] = {
	SUM_3(0), SUM_3(64), SUM_3(32), SUM_3(16), SUM_3(8), SUM_3(4), SUM_3(2), SUM_3(1),
};

/* Whether up to 19 lengths, in bits whose upper ones are zero, belong to a complete code. */
FI_ALWAYS_INLINE bool precode_is_complete(uint64_t lens)
{
	return sum_of_four[lens & 0xFFF] + sum_of_four[(lens >> 12) & 0xFFF] +
		sum_of_four[(lens >> 24) & 0xFFF] + sum_of_four[(lens >> 36) & 0xFFF] +
		sum_of_four[lens >> 48] == 128;
}

static void build_precode(fi_entry table[FI_PRECODE_TABLE_SIZE], uint64_t lens_in_order)
{
	static const uint8_t order[DEFLATE_NUM_PRECODE_SYMS] = {
		16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
	};
	uint8_t lens[DEFLATE_NUM_PRECODE_SYMS];

	for (unsigned i = 0; i < DEFLATE_NUM_PRECODE_SYMS; i++, lens_in_order >>= 3)
		lens[order[i]] = lens_in_order & 7;
	(void)fi_build_precode_table(table, lens); /* complete, hence no other verdict */
}

#define ONE (1u << DEFLATE_MAX_CODEWORD_LEN) /* the sum of a complete code, scaled to be whole */

/* 2**-length in that scale; 0 for length 0, no codeword. */
FI_ALWAYS_INLINE uint32_t weight(unsigned len)
{
	return (ONE >> len) & (ONE - 1);
}

static uint32_t sum_of_weights(const uint8_t *lens, unsigned n)
{
	uint32_t sum = 0;

	while (n-- != 0)
		sum += weight(*lens++);
	return sum;
}

/*
 * Decodes the lengths of both codes, which stand at `bit`. False: a repeat without anything to
 * repeat or past the end, an over-subscribed code (not always noticed), or the end of the
 * buffer.
 */
static bool read_lens(const struct stream *s, uint64_t bit, const fi_entry *precode,
		      uint8_t *lens, unsigned num_litlen, unsigned num_lens)
{
	enum { AT_ONCE = 57 / (DEFLATE_MAX_PRECODEWORD_LEN + 7) };
	static const uint8_t extra_bits[3] = {2, 3, 7}, least_repeat[3] = {3, 3, 11};
	uint32_t sum = 0;
	unsigned i = 0;

	while (i < num_lens) {
		uint64_t bits = peek(s, bit);

		for (unsigned n = 0; n < AT_ONCE && i < num_lens; n++) {
			const fi_entry entry = precode[bits & (FI_PRECODE_TABLE_SIZE - 1)];
			const unsigned sym = FI_ENTRY_PAYLOAD(entry);
			unsigned nbits = FI_ENTRY_CONSUMED(entry);

			if (sym < 16) {
				lens[i++] = (uint8_t)sym;
				sum += weight(sym);
			} else {
				const unsigned extra = extra_bits[sym - 16];
				const unsigned repeat = least_repeat[sym - 16] +
					((unsigned)(bits >> nbits) & ((1u << extra) - 1));

				if (repeat > num_lens - i || (sym == 16 && i == 0))
					return false;
				memset(lens + i, sym == 16 ? lens[i - 1] : 0, repeat);
				sum += repeat * weight(lens[i]);
				i += repeat;
				nbits += extra;
			}
			if (sum > (i <= num_litlen ? ONE : 2 * ONE))
				return false;
			bits >>= nbits;
			bit += nbits;
		}
	}
	return bit <= 8 * s->nbytes;
}

/*
 * Complete; but for distances one codeword of one bit will do, and none at all, as they do in
 * zlib.
 */
static bool dist_code_is_valid(const uint8_t *lens, unsigned num_dist)
{
	const uint32_t sum = sum_of_weights(lens, num_dist);

	return sum == ONE || sum == 0 || (sum == ONE / 2 && memchr(lens, 1, num_dist) != NULL);
}

static FI_NEVER_INLINE bool codes_are_valid(const struct stream *s, uint64_t bit, uint64_t counts,
					    uint64_t precode_lens)
{
	const unsigned num_litlen = 257 + ((unsigned)(counts >> 3) & 31);
	const unsigned num_dist = 1 + ((unsigned)(counts >> 8) & 31);
	fi_entry precode[FI_PRECODE_TABLE_SIZE];
	uint8_t lens[DEFLATE_NUM_LITLEN_SYMS + DEFLATE_NUM_DIST_SYMS];

	build_precode(precode, precode_lens);
	return read_lens(s, bit, precode, lens, num_litlen, num_litlen + num_dist) &&
		lens[DEFLATE_END_OF_BLOCK] != 0 &&
		sum_of_weights(lens, num_litlen) == ONE &&
		dist_code_is_valid(lens + num_litlen, num_dist);
}

/* Whether the header at `bit`, whose counts are within the limits, goes on as it should. */
FI_ALWAYS_INLINE bool is_dynamic_block(const struct stream *s, uint64_t bit, uint64_t counts)
{
	const unsigned num_bits = 3 * (4 + ((unsigned)(counts >> 13) & 15));
	const uint64_t precode_lens = peek(s, bit + COUNTS_NBITS) & (((uint64_t)1 << num_bits) - 1);

	return precode_is_complete(precode_lens) &&
		codes_are_valid(s, bit + COUNTS_NBITS + num_bits, counts, precode_lens);
}

/* ---- Stored blocks, section 3.2.4 ------------------------------------------------------------ */

/*
 * Bit 8 * k, k below 4: behind byte k of v, whose three highest bits are zero, stand two bytes and
 * their complements.
 */
FI_ALWAYS_INLINE uint32_t stored_starts(uint64_t v)
{
	const uint64_t differ = ~(v ^ (v >> 16)); /* byte k 0: the complement of byte k + 2 */
	const uint32_t wrong = (uint32_t)((differ >> 8) | (differ >> 16) | (v & 0xE0E0E0E0));

	/* No sum carries into the next byte; the highest bit of each tells if the byte is not 0. */
	return ~(((wrong & 0x7F7F7F7F) + 0x7F7F7F7F) | wrong | 0x7F7F7F7F) >> 7;
}

/*
 * Whether a block of any kind, perhaps the last, may begin at this byte boundary behind a
 * stored block. Past the end of the buffer none can: zeros are LEN 0 without its complement.
 */
static bool may_follow(const struct stream *s, uint64_t bit, bool after_empty)
{
	const uint64_t header = peek(s, bit) & ~(uint64_t)1; /* BFINAL does not matter */

	switch (header >> 1 & 3) {
	case DEFLATE_BLOCK_STORED:
		return (header & 0xFF) == 0 && (stored_starts(header) & 1) != 0 &&
			8 * s->nbytes - bit >= 40;
	case DEFLATE_BLOCK_FIXED:
		return after_empty;
	case DEFLATE_BLOCK_DYNAMIC:
		return (dynamic_starts(header) & 1) != 0 && is_dynamic_block(s, bit, header);
	default:
		return false;
	}
}

static bool is_stored_block(const struct stream *s, uint64_t bit)
{
	const uint64_t len = peek(s, bit) & 0xFFFF;

	return may_follow(s, bit + 32 + 8 * len, len == 0);
}

/* ---- The search ------------------------------------------------------------------------------ */

bool fi_find_block(const uint8_t *data, size_t nbytes, uint64_t from, uint64_t to,
		   struct fi_block_start *start_ret)
{
	const struct stream stream = { data, nbytes }, *const s = &stream;

	if (to > 8 * s->nbytes)
		to = 8 * s->nbytes;
	for (uint64_t bit = from & ~(uint64_t)7; bit < to; bit += 32) {
		/* The byte before `bit` and seven more; where none is, one that no LEN follows. */
		const uint64_t v = bit == 0 ? (peek(s, 0) << 8) | 0xFF : peek(s, bit - 8);
		const uint32_t stored = stored_starts(v);
		const uint32_t dynamic = (uint32_t)dynamic_starts(v >> 8);
		uint32_t starts = stored | dynamic;

		if (bit < from)
			starts &= ~(uint32_t)0 << (from - bit);
		if (to - bit < 32)
			starts &= ((uint32_t)1 << (to - bit)) - 1;
		for (; starts != 0; starts &= starts - 1) {
			const unsigned i = lowest_bit(starts);

			start_ret->bit = bit + i;
			start_ret->stored = false;
			if ((dynamic >> i & 1) && is_dynamic_block(s, bit + i, v >> (8 + i)))
				return true;
			start_ret->stored = true;
			if (FI_UNLIKELY(stored >> i & 1) && is_stored_block(s, bit + i))
				return true;
		}
	}
	return false;
}
