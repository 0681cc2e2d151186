/*
 * test_block_finder.c - fi_find_block() finds the blocks that zlib writes and hardly anything
 * else, judges any bits as a slow twin does, and reads nothing outside the buffer.
 *
 *     gcc -O2 -Isrc/fastidx/kernel tests/c/test_block_finder.c src/fastidx/kernel/block_finder.c \
 *         src/fastidx/kernel/huffman.c -lz -o test_block_finder
 *
 * Add -fsanitize=address,undefined: every buffer is a block of its own that ends where the data
 * ends.
 */
#include "block_finder.h"
#include "deflate_constants.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define NOWHERE UINT64_MAX

static uint64_t random64(void)
{
	static uint64_t s = 0x9E3779B97F4A7C15; /* xorshift */

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return s;
}

static unsigned below(unsigned n)
{
	return (unsigned)(random64() >> 33) % n;
}

static void require(bool ok, const char *what, uint64_t bit)
{
	if (ok)
		return;
	fprintf(stderr, "%s, at bit %llu\n", what, (unsigned long long)bit);
	exit(1);
}

/* ---- Bits, read and written one at a time ---------------------------------------------------- */

struct bits {
	uint8_t *data;
	uint64_t nbits; /* when writing: capacity */
	uint64_t at;    /* past nbits: something was wanted that is not there */
};

static unsigned take(struct bits *b, unsigned n)
{
	unsigned v = 0;

	for (unsigned i = 0; i < n; i++, b->at++) {
		if (b->at < b->nbits)
			v |= (unsigned)(b->data[b->at / 8] >> (b->at % 8) & 1) << i;
	}
	return v;
}

static void put(struct bits *b, unsigned v, unsigned n)
{
	for (unsigned i = 0; i < n; i++, b->at++) {
		if (b->at >= b->nbits)
			exit(2);
		b->data[b->at / 8] |= (uint8_t)((v >> i & 1) << (b->at % 8));
	}
}

static void pad(struct bits *b)
{
	b->at = (b->at + 7) / 8 * 8;
}

/* ---- The slow twin --------------------------------------------------------------------------- */

enum completeness { COMPLETE, ONE_BIT, EMPTY, INVALID };

static enum completeness completeness(const uint8_t *lens, unsigned n)
{
	unsigned used = 0;
	double sum = 0;

	for (unsigned i = 0; i < n; i++) {
		used += lens[i] != 0;
		sum += lens[i] == 0 ? 0 : 1.0 / (1 << lens[i]);
	}
	if (sum == 1)
		return COMPLETE;
	if (used == 0)
		return EMPTY;
	return used == 1 && sum == 0.5 ? ONE_BIT : INVALID;
}

/* The codeword of a symbol as a number, its first bit highest. */
static unsigned codeword(const uint8_t *lens, unsigned n, unsigned sym)
{
	unsigned code = 0;

	for (unsigned len = 1; len <= lens[sym]; len++) {
		code <<= 1;
		for (unsigned i = 0; i < n; i++) {
			if (lens[i] == len && (len < lens[sym] || i < sym))
				code++;
		}
	}
	return code;
}

/*
 * The symbols that have codewords, by length and then by value, which is the order of the
 * codewords.
 */
struct code {
	unsigned count[DEFLATE_MAX_CODEWORD_LEN + 1];
	unsigned sorted[DEFLATE_NUM_LITLEN_SYMS];
};

enum { NO_SYMBOL = 999 };

static struct code make_code(const uint8_t *lens, unsigned n)
{
	struct code code = { .count = {0} };
	unsigned used = 0;

	for (unsigned len = 1; len <= DEFLATE_MAX_CODEWORD_LEN; len++) {
		for (unsigned i = 0; i < n; i++) {
			if (lens[i] == len) {
				code.count[len]++;
				code.sorted[used++] = i;
			}
		}
	}
	return code;
}

static unsigned take_symbol(struct bits *b, const struct code *code)
{
	const unsigned *sorted = code->sorted;
	unsigned above = 0; /* what was read, less the first codeword of that length */

	for (unsigned len = 1; len <= DEFLATE_MAX_CODEWORD_LEN; len++) {
		above = above << 1 | take(b, 1);
		if (above < code->count[len])
			return sorted[above];
		above -= code->count[len];
		sorted += code->count[len];
	}
	return NO_SYMBOL;
}

static void put_symbol(struct bits *b, const uint8_t *lens, unsigned n, unsigned sym)
{
	const unsigned code = codeword(lens, n, sym);

	for (unsigned i = lens[sym]; i-- != 0; )
		put(b, code >> i & 1, 1);
}

static const uint8_t precode_order[DEFLATE_NUM_PRECODE_SYMS] = {
	16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
};

struct codes {
	unsigned num_litlen, num_dist;
	uint8_t litlen[DEFLATE_NUM_LITLEN_SYMS], dist[DEFLATE_NUM_DIST_SYMS];
};

/* Reads what follows BTYPE in a dynamic header. False: it is none, or the bits end within it. */
static bool take_codes(struct bits *b, struct codes *codes)
{
	uint8_t precode_lens[DEFLATE_NUM_PRECODE_SYMS] = {0}, lens[320 + 138];
	unsigned num_precode, n = 0;
	struct code precode;

	codes->num_litlen = 257 + take(b, 5);
	codes->num_dist = 1 + take(b, 5);
	num_precode = 4 + take(b, 4);
	if (codes->num_litlen > 286 || codes->num_dist > 30)
		return false;
	for (unsigned i = 0; i < num_precode; i++)
		precode_lens[precode_order[i]] = (uint8_t)take(b, 3);
	if (completeness(precode_lens, DEFLATE_NUM_PRECODE_SYMS) != COMPLETE)
		return false;
	precode = make_code(precode_lens, DEFLATE_NUM_PRECODE_SYMS);
	while (n < codes->num_litlen + codes->num_dist) {
		const unsigned sym = take_symbol(b, &precode);
		uint8_t len = 0;
		unsigned repeat;

		if (sym < 16) {
			lens[n++] = (uint8_t)sym;
			continue;
		}
		if (sym == 16) {
			if (n == 0)
				return false;
			len = lens[n - 1];
		}
		repeat = sym == 16 ? 3 + take(b, 2) : sym == 17 ? 3 + take(b, 3) : 11 + take(b, 7);
		while (repeat-- != 0)
			lens[n++] = len;
	}
	if (n != codes->num_litlen + codes->num_dist || b->at > b->nbits)
		return false;
	memcpy(codes->litlen, lens, codes->num_litlen);
	memcpy(codes->dist, lens + codes->num_litlen, codes->num_dist);
	return codes->litlen[DEFLATE_END_OF_BLOCK] != 0 &&
		completeness(codes->litlen, codes->num_litlen) == COMPLETE &&
		completeness(codes->dist, codes->num_dist) != INVALID;
}

static bool is_dynamic(struct bits b, bool final_too)
{
	struct codes codes;
	const bool final = take(&b, 1) != 0;

	return (final_too || !final) && take(&b, 2) == DEFLATE_BLOCK_DYNAMIC &&
		take_codes(&b, &codes);
}

static bool may_follow(struct bits b, bool after_empty)
{
	const struct bits header = b;

	take(&b, 1);
	switch (take(&b, 2)) {
	case DEFLATE_BLOCK_STORED:
		if (take(&b, 5) != 0)
			return false;
		return (take(&b, 16) ^ take(&b, 16)) == 0xFFFF && b.at <= b.nbits;
	case DEFLATE_BLOCK_FIXED:
		return after_empty && b.at <= b.nbits;
	case DEFLATE_BLOCK_DYNAMIC:
		return is_dynamic(header, true);
	default:
		return false;
	}
}

static bool is_stored(struct bits b)
{
	unsigned len, complement;

	if (b.at % 8 != 0 || b.at == 0 || b.nbits - b.at < 32)
		return false;
	b.at -= 3;
	if (take(&b, 3) != 0)
		return false;
	len = take(&b, 16);
	complement = take(&b, 16);
	b.at += 8 * len;
	return (len ^ complement) == 0xFFFF && may_follow(b, len == 0);
}

static bool slow_find(struct bits b, uint64_t to, struct fi_block_start *start_ret)
{
	for (; b.at < to && b.at < b.nbits; b.at++) {
		start_ret->bit = b.at;
		start_ret->stored = !is_dynamic(b, false);
		if (!start_ret->stored || is_stored(b))
			return true;
	}
	return false;
}

/* ---- Streams by zlib: their true starts are found, and hardly others ------------------------- */

struct stream {
	struct bits bits;
	unsigned num_starts;
	struct fi_block_start starts[8192]; /* those that have to be found */
};

/* Over all streams */
static struct {
	unsigned dynamic, stored, fixed, starts, false_dynamic, false_stored;
} total;

static void expect_start(struct stream *s, uint64_t bit, bool stored)
{
	if (s->num_starts == sizeof(s->starts) / sizeof(*s->starts))
		exit(2);
	s->starts[s->num_starts++] = (struct fi_block_start){ bit, stored };
}

static void skip_symbols(struct bits *b, const struct code *litlen, const struct code *dist)
{
	for (;;) {
		const unsigned sym = take_symbol(b, litlen);
		unsigned dist_sym;

		if (sym == DEFLATE_END_OF_BLOCK)
			return;
		if (sym < DEFLATE_END_OF_BLOCK)
			continue;
		take(b, sym < 265 || sym == 285 ? 0 : (sym - 261) / 4);
		dist_sym = take_symbol(b, dist);
		take(b, dist_sym < 4 ? 0 : (dist_sym - 2) / 2);
		require(sym < 286 && dist_sym < 30 && b->at <= b->nbits, "not a stream", b->at);
	}
}

static void skip_fixed_block(struct bits *b)
{
	uint8_t litlen[DEFLATE_NUM_LITLEN_SYMS], dist[DEFLATE_NUM_DIST_SYMS];
	struct code litlen_code, dist_code;

	for (unsigned i = 0; i < DEFLATE_NUM_LITLEN_SYMS; i++)
		litlen[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	memset(dist, 5, sizeof(dist));
	litlen_code = make_code(litlen, DEFLATE_NUM_LITLEN_SYMS);
	dist_code = make_code(dist, DEFLATE_NUM_DIST_SYMS);
	skip_symbols(b, &litlen_code, &dist_code);
}

static void skip_dynamic_block(struct bits *b)
{
	struct code litlen_code, dist_code;
	struct codes codes;

	require(take_codes(b, &codes), "not a dynamic header", b->at);
	litlen_code = make_code(codes.litlen, codes.num_litlen);
	dist_code = make_code(codes.dist, codes.num_dist);
	skip_symbols(b, &litlen_code, &dist_code);
}

/* Walks through a stream from block to block and lists what the finder has to find. */
static void walk(struct stream *s)
{
	struct bits *const b = &s->bits;
	uint64_t stored_with_data = NOWHERE; /* the block before, if what follows it matters */
	bool final = false;

	b->at = 0;
	while (!final) {
		const uint64_t bit = b->at;
		unsigned type;

		final = take(b, 1) != 0;
		type = take(b, 2);
		if (stored_with_data != NOWHERE && type != DEFLATE_BLOCK_FIXED)
			expect_start(s, stored_with_data, true);
		stored_with_data = NOWHERE;
		if (type == DEFLATE_BLOCK_DYNAMIC) {
			if (!final)
				expect_start(s, bit, false);
			skip_dynamic_block(b);
			total.dynamic++;
		} else if (type == DEFLATE_BLOCK_FIXED) {
			skip_fixed_block(b);
			total.fixed++;
		} else {
			uint64_t at;
			unsigned len;

			pad(b);
			at = b->at;
			len = take(b, 16);
			if (!final && len == 0)
				expect_start(s, at, true);
			else if (!final)
				stored_with_data = at;
			b->at += 16 + 8 * (uint64_t)len;
			total.stored++;
		}
	}
	require(b->at <= b->nbits && b->nbits - b->at < 8, "not the end of the stream", b->at);
}

enum { TEXT_NBYTES = 300000 };
static uint8_t text[TEXT_NBYTES];

/*
 * Stretches of noise, of skewed noise, of repetitions and of runs, so that all block types are
 * worth it.
 */
static void make_text(void)
{
	for (size_t i = 0; i < TEXT_NBYTES; ) {
		const unsigned kind = below(5), n = 1 + below(20000);

		for (unsigned k = 0; k < n && i < TEXT_NBYTES; k++, i++) {
			switch (kind) {
			case 0:
				text[i] = (uint8_t)random64();
				break;
			case 1:
				text[i] = (uint8_t)(random64() & random64() & random64());
				break;
			case 2:
				text[i] = i < 1000 || below(40) == 0 ?
					(uint8_t)random64() : text[i - 28 * (1 + k % 9)];
				break;
			case 3:
				text[i] = (uint8_t)((unsigned)"kernel "[k % 7] + below(2));
				break;
			default:
				text[i] = 0;
			}
		}
	}
}

/*
 * The text as a raw stream in a block of its own size, with a flush after about every
 * flush_nbytes.
 */
static void compress_text(struct stream *s, int level, int mem_level, int strategy, int flush,
			  unsigned flush_nbytes)
{
	z_stream z = { 0 };
	uint8_t *out = malloc(TEXT_NBYTES * 2), *exact;

	if (out == NULL || deflateInit2(&z, level, Z_DEFLATED, -15, mem_level, strategy) != Z_OK)
		exit(2);
	z.next_in = text;
	z.next_out = out;
	z.avail_out = TEXT_NBYTES * 2;
	while (flush != Z_NO_FLUSH && z.total_in + flush_nbytes < TEXT_NBYTES) {
		z.avail_in = 1 + below(flush_nbytes);
		if (deflate(&z, flush) != Z_OK)
			exit(2);
	}
	z.avail_in = (uInt)(TEXT_NBYTES - z.total_in);
	if (deflate(&z, Z_FINISH) != Z_STREAM_END || (exact = malloc(z.total_out)) == NULL)
		exit(2);
	memcpy(exact, out, z.total_out);
	memset(s, 0, sizeof(*s));
	s->bits = (struct bits){ exact, 8 * (uint64_t)z.total_out, 0 };
	deflateEnd(&z);
	free(out);
}

/* Finds all starts, counts false ones among them. */
static void check_stream(struct stream *s)
{
	const size_t nbytes = (size_t)(s->bits.nbits / 8);
	struct fi_block_start found;
	unsigned i = 0;
	uint64_t from = 0;

	while (fi_find_block(s->bits.data, nbytes, from, NOWHERE, &found)) {
		const bool last = i == s->num_starts;
		struct fi_block_start other;

		require(last || found.bit <= s->starts[i].bit, "passed over a start",
			s->starts[i].bit);
		require(!fi_find_block(s->bits.data, nbytes, from, found.bit, &other),
			"not before `to`", from);
		from = found.bit + 1;
		if (last || found.bit < s->starts[i].bit) {
			*(found.stored ? &total.false_stored : &total.false_dynamic) += 1;
		} else {
			require(found.stored == s->starts[i++].stored, "wrong kind", found.bit);
		}
	}
	require(i == s->num_starts, "passed over the last starts", from);
	total.starts += i;
}

static void test_zlib_streams(void)
{
	static const int strategies[] = { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE };
	static const int flushes[] = {
		Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_BLOCK,
	};
	static const int mem_levels[] = { 1, 8, 9 };
	static const unsigned flush_nbytes[] = { 300, 5000, 40000 };
	static struct stream s;

	for (unsigned i = 0; i < 60; i++) {
		const int strategy = strategies[i % 4], flush = flushes[i < 10 ? 0 : i % 5];

		make_text();
		compress_text(&s, (int)(i / 5 % 10), mem_levels[i % 3], strategy, flush,
			flush_nbytes[below(3)]);
		walk(&s);
		check_stream(&s);
		free(s.bits.data);
	}
	printf("zlib: %u dynamic, %u stored, %u fixed blocks, %u starts\n",
		total.dynamic, total.stored, total.fixed, total.starts);
	require(total.dynamic > 1000 && total.stored > 1000 && total.fixed > 100,
		"too few blocks of a type", 0);
	printf("false starts: %u dynamic, %u stored\n", total.false_dynamic, total.false_stored);
	/* Between a flush and a stored block stands 00 FF FF 00: a length with its complement. */
	require(total.false_stored * 200 < total.starts, "too many false stored starts", 0);
	require(total.false_dynamic < 3, "too many false dynamic starts", 0);
}

/* ---- Headers written bit by bit -------------------------------------------------------------- */

/* 13 codewords of 4 bits and 6 of 5 bits: a complete precode in which every symbol has one. */
static uint8_t full_precode_len(unsigned sym)
{
	return sym < 13 ? 4 : 5;
}

struct header {
	struct codes codes;
	unsigned final, type, num_litlen, num_dist; /* as written, not as true */
	unsigned bad_precode;
};

/*
 * A literal of each value 0 to 2 and the end of block with 2 bits each, two distances with 1
 * bit.
 */
static struct header good_header(void)
{
	struct header h = { .final = 0, .type = DEFLATE_BLOCK_DYNAMIC };

	h.codes.num_litlen = h.num_litlen = 257;
	h.codes.num_dist = h.num_dist = 2;
	h.codes.litlen[0] = h.codes.litlen[1] = h.codes.litlen[2] = h.codes.litlen[256] = 2;
	h.codes.dist[0] = h.codes.dist[1] = 1;
	return h;
}

static void put_header(struct bits *b, const struct header *h)
{
	uint8_t precode_lens[DEFLATE_NUM_PRECODE_SYMS];

	put(b, h->final, 1);
	put(b, h->type, 2);
	put(b, h->num_litlen - 257, 5);
	put(b, h->num_dist - 1, 5);
	put(b, 15, 4);
	for (unsigned i = 0; i < DEFLATE_NUM_PRECODE_SYMS; i++)
		precode_lens[i] = full_precode_len(i);
	for (unsigned i = 0; i < DEFLATE_NUM_PRECODE_SYMS; i++)
		put(b, precode_lens[precode_order[i]] ^ (i == 7 ? h->bad_precode : 0), 3);
	for (unsigned i = 0; i < h->codes.num_litlen; i++)
		put_symbol(b, precode_lens, DEFLATE_NUM_PRECODE_SYMS, h->codes.litlen[i]);
	for (unsigned i = 0; i < h->codes.num_dist; i++)
		put_symbol(b, precode_lens, DEFLATE_NUM_PRECODE_SYMS, h->codes.dist[i]);
}

/* Only this bit is asked about, in a copy with just so many bytes. */
static bool is_start(const struct bits *b, uint64_t bit, size_t nbytes, bool stored)
{
	uint8_t *const exact = malloc(nbytes);
	struct fi_block_start slow, found = { NOWHERE, false };
	bool answer;

	if (exact == NULL)
		exit(2);
	memcpy(exact, b->data, nbytes);
	answer = fi_find_block(exact, nbytes, bit, bit + 1, &found);
	require(answer == slow_find((struct bits){ exact, 8 * nbytes, bit }, bit + 1, &slow),
		"the slow twin judges otherwise", bit);
	require(!answer || (found.bit == bit && found.stored == stored), "found another one", bit);
	free(exact);
	return answer;
}

static void check_header(const char *what, const struct header *h, bool expected)
{
	for (unsigned bit = 0; bit < 70; bit++) { /* each place in a byte and in a word */
		uint8_t data[512] = {0};
		struct bits b = { data, 8 * sizeof(data), bit };
		size_t nbytes;

		put_header(&b, h);
		nbytes = (size_t)(b.at + 7) / 8;
		require(is_start(&b, bit, nbytes, false) == expected, what, bit);
		require(is_start(&b, bit, nbytes + 20, false) == expected, what, bit);
		require(!is_start(&b, bit, nbytes - 1, false), "half a header was enough", bit);
	}
}

static void test_headers(void)
{
	struct header h = good_header();

	check_header("a good header", &h, true);
	h.codes.dist[1] = 0;
	check_header("one distance of one bit", &h, true);
	h.codes.dist[0] = 2;
	check_header("one distance of two bits", &h, false);
	h.codes.dist[1] = 2;
	check_header("two distances of two bits", &h, false);
	h.codes.dist[0] = h.codes.dist[1] = 0;
	check_header("no distance", &h, true);
	h.codes.num_dist = h.num_dist = 3;
	h.codes.dist[0] = h.codes.dist[1] = h.codes.dist[2] = 1;
	check_header("three distances of one bit", &h, false);

	h = good_header();
	h.codes.litlen[256] = 0;
	h.codes.litlen[3] = 2;
	check_header("no end of block", &h, false);
	h = good_header();
	h.codes.litlen[2] = 3;
	check_header("an incomplete code", &h, false);
	h.codes.litlen[2] = 1;
	check_header("an over-subscribed code", &h, false);
	h = good_header();
	memset(h.codes.litlen, 0, sizeof(h.codes.litlen));
	h.codes.litlen[256] = 1;
	check_header("nothing but the end of block", &h, false);

	h = good_header();
	h.final = 1;
	check_header("the final block", &h, false);
	h = good_header();
	h.type = 3;
	check_header("no block type", &h, false);
	h = good_header();
	h.bad_precode = 1;
	check_header("a bad precode", &h, false);

	h = good_header();
	h.codes.num_litlen = h.num_litlen = 286;
	h.codes.num_dist = h.num_dist = 30;
	check_header("the largest counts", &h, true);
	h.codes.num_litlen = h.num_litlen = 287;
	check_header("too many literal/length codes", &h, false);
	h.codes.num_litlen = h.num_litlen = 286;
	h.codes.num_dist = h.num_dist = 31;
	check_header("too many distance codes", &h, false);
}

/* Symbols 16, 17 and 18, with their extra bits. */
static void put_repeats(struct bits *b, const unsigned (*syms)[2], unsigned n)
{
	uint8_t precode_lens[DEFLATE_NUM_PRECODE_SYMS];

	put(b, DEFLATE_BLOCK_DYNAMIC << 1, 3);
	put(b, 0, 5);
	put(b, 1, 5);
	put(b, 15, 4);
	for (unsigned i = 0; i < DEFLATE_NUM_PRECODE_SYMS; i++)
		precode_lens[i] = full_precode_len(i);
	for (unsigned i = 0; i < DEFLATE_NUM_PRECODE_SYMS; i++)
		put(b, precode_lens[precode_order[i]], 3);
	for (unsigned i = 0; i < n; i++) {
		const unsigned sym = syms[i][0];

		put_symbol(b, precode_lens, DEFLATE_NUM_PRECODE_SYMS, sym);
		put(b, syms[i][1], sym < 16 ? 0 : sym == 16 ? 2 : sym == 17 ? 3 : 7);
	}
}

static void check_repeats(const char *what, const unsigned (*syms)[2], unsigned n, bool expected)
{
	for (unsigned bit = 11; bit < 11 + 8; bit++) {
		uint8_t data[100] = {0};
		struct bits b = { data, 8 * sizeof(data), bit };

		put_repeats(&b, syms, n);
		require(is_start(&b, bit, sizeof(data), false) == expected, what, bit);
	}
}

static void test_repeats(void)
{
	/* 257 + 2 lengths; 18 with n extra stands for 11 + n zeros, 17 for 3 + n */
	const unsigned good[][2] = {
		{1, 0}, {2, 0}, {18, 127}, {18, 102}, {17, 0}, {2, 0}, {1, 0}, {1, 0},
	};
	const unsigned same[][2] = {
		{3, 0}, {16, 3}, {18, 127}, {18, 100}, {3, 0}, {1, 0}, {1, 0},
	};
	const unsigned many_bits[][2] = {
		{18, 0}, {18, 0}, {18, 0}, {18, 0}, {18, 127}, {18, 60},
		{2, 0}, {2, 0}, {2, 0}, {2, 0}, {1, 0}, {1, 0},
	};
	const unsigned across[][2] = { {18, 127}, {18, 106}, {1, 0}, {16, 0} };
	const unsigned past[][2] = { {18, 127}, {18, 106}, {1, 0}, {16, 1} };
	const unsigned zeros_past[][2] = { {18, 127}, {18, 106}, {1, 0}, {1, 0}, {17, 0} };
	const unsigned nothing[][2] = {
		{16, 0}, {18, 127}, {18, 103}, {1, 0}, {1, 0}, {1, 0}, {1, 0},
	};

	check_repeats("repeated zeros", good, 8, true);
	check_repeats("a repeated length", same, 7, true);
	check_repeats("the longest symbols in a row", many_bits, 12, true);
	check_repeats("a repeat from one code into the other", across, 4, true);
	check_repeats("a repeat past the end", past, 4, false);
	check_repeats("zeros past the end", zeros_past, 5, false);
	check_repeats("a repeat of nothing", nothing, 7, false);
}

/*
 * A stored block of len bytes at bit 16 whose header is in byte 1, then the next header, of up
 * to 40 bits.
 */
static bool stored_is_start(unsigned before, unsigned len, unsigned complement, uint64_t next,
			    size_t nbytes)
{
	static uint8_t data[70000];
	struct bits b = { data, 8 * sizeof(data), 8 };

	memset(data, 0, sizeof(data));
	put(&b, before, 8);
	put(&b, len, 16);
	put(&b, complement, 16);
	b.at += 8 * (uint64_t)len;
	put(&b, (unsigned)(next & 0xFFFFFFFF), 32);
	put(&b, (unsigned)(next >> 32), 8);
	return is_start(&b, 16, nbytes, true);
}

static void test_stored(void)
{
	const unsigned fixed = 2, fixed_final = 3, invalid = 6;
	const uint64_t stored_5 = 0xFFFA000500, stored_ff05 = 0x00FAFF0500; /* header, LEN, NLEN */

	require(stored_is_start(0, 0, 0xFFFF, fixed, 100), "a flush, then a fixed block", 16);
	require(stored_is_start(0, 0, 0xFFFF, fixed_final, 100), "a flush, then the last", 16);
	require(stored_is_start(0x1F, 0, 0xFFFF, fixed, 100), "an end before it", 16);
	require(stored_is_start(0x01, 0, 0xFFFF, fixed, 100), "an end, or BFINAL", 16);
	require(!stored_is_start(0x3F, 0, 0xFFFF, fixed, 100), "no header", 16);
	require(!stored_is_start(0x20, 0, 0xFFFF, fixed, 100), "a final header", 16);
	require(!stored_is_start(0, 0, 0xFFFE, fixed, 100), "a wrong complement", 16);
	require(!stored_is_start(0, 0, 0xFFFF, invalid, 100), "nothing can follow", 16);
	require(stored_is_start(0, 10, 0xFFF5, stored_5, 100), "data, then a stored block", 16);
	require(!stored_is_start(0, 10, 0xFFF5, stored_5 | 1 << 4, 100), "bad padding follows", 16);
	require(!stored_is_start(0, 10, 0xFFF5, stored_5 ^ 1 << 9, 100), "a wrong LEN follows", 16);
	require(!stored_is_start(0, 10, 0xFFF5, fixed, 100), "data, then a fixed block", 16);
	require(!stored_is_start(0, 65535, 0, stored_5, 65541), "nothing behind the data", 16);
	require(stored_is_start(0, 65535, 0, stored_ff05, 65546), "up to a header, rather", 16);
	require(!stored_is_start(0, 65535, 0, stored_ff05, 65545), "up to most of a header", 16);
	for (size_t nbytes = 3; nbytes < 20; nbytes++)
		stored_is_start(0, 9, 0xFFF6, stored_5, nbytes);
}

static bool dynamic_may_follow(const struct header *h)
{
	uint8_t data[512] = {0};
	struct bits b = { data, 8 * sizeof(data), 16 };

	put(&b, 3, 16);
	put(&b, 0xFFFC, 16);
	b.at += 24;
	put_header(&b, h);
	return is_start(&b, 16, sizeof(data), true);
}

static void test_stored_before_dynamic(void)
{
	struct header h = good_header();

	require(dynamic_may_follow(&h), "data, then a dynamic block", 16);
	h.final = 1;
	require(dynamic_may_follow(&h), "data, then a dynamic block, the last", 16);
	h.bad_precode = 1;
	require(!dynamic_may_follow(&h), "data, then a bad precode", 16);
	h = good_header();
	h.codes.num_litlen = h.num_litlen = 287;
	require(!dynamic_may_follow(&h), "data, then too many codes", 16);
}

static void test_stored_chain(void)
{
	uint8_t data[64] = {0};
	struct bits b = { data, 8 * sizeof(data), 16 };
	struct fi_block_start found;

	put(&b, 3, 16);
	put(&b, 0xFFFC, 16);
	b.at += 24 + 8; /* data and a header: stored, padded */
	put(&b, 2, 16);
	put(&b, 0xFFFD, 16);
	require(is_start(&b, 16, sizeof(data), true), "one stored block behind the other", 16);
	require(!fi_find_block(data, 4, 0, NOWHERE, &found), "LEN alone", 0);
	require(!fi_find_block(data + 2, 30, 0, 8, &found), "LEN with nothing before it", 0);
	require(!fi_find_block(NULL, 0, 0, NOWHERE, &found), "an empty buffer", 0);
	require(!fi_find_block(data, 64, NOWHERE, NOWHERE, &found), "far behind the end", 0);
	require(!fi_find_block(data, 64, 17, 16, &found), "an empty range", 0);
}

/* ---- Anything: the slow twin agrees ---------------------------------------------------------- */

/* All starts in [from, to) of a block that holds just these bytes. */
static unsigned compare(const uint8_t *data, size_t nbytes, uint64_t from, uint64_t to)
{
	uint8_t *const exact = malloc(nbytes);
	struct fi_block_start found, slow;
	unsigned num_starts = 0;

	if (exact == NULL)
		exit(2);
	memcpy(exact, data, nbytes);
	for (; from < to; from = found.bit + 1, num_starts++) {
		const bool answer = fi_find_block(exact, nbytes, from, to, &found);

		require(answer == slow_find((struct bits){ exact, 8 * nbytes, from }, to, &slow),
			"the slow twin finds otherwise", from);
		if (!answer)
			break;
		require(found.bit == slow.bit && found.stored == slow.stored,
			"the slow twin finds another", found.bit);
	}
	free(exact);
	return num_starts;
}

/* A good header among other bits, now and then damaged, in a buffer that may end within it. */
static void test_damaged(void)
{
	unsigned num_starts = 0;
	enum { ROUNDS = 20000 };

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t data[400] = {0};
		struct bits b = { data, 8 * sizeof(data), below(200) };
		const uint64_t bit = b.at;
		struct header h = good_header();
		uint64_t from;
		size_t nbytes;

		h.codes.num_litlen = h.num_litlen = 257 + below(3);
		h.codes.num_dist = h.num_dist = 2 + below(3);
		put_header(&b, &h);
		for (unsigned n = below(3); n != 0; n--) {
			const uint64_t at = bit + below(n == 1 ? 1300 : 80);

			data[at / 8] ^= (uint8_t)(1 << (at % 8));
		}
		nbytes = (size_t)(b.at + 7) / 8 + below(15) - 2;
		from = below(8) == 0 ? below(200) : 0;
		num_starts += compare(data, nbytes, from, bit + 1 + below(70));
	}
	require(num_starts > ROUNDS / 4 && num_starts < ROUNDS * 3 / 4, "no mixture", num_starts);
	printf("damaged headers: %u of %u are starts\n", num_starts, (unsigned)ROUNDS);
}

/* Bits of few kinds, in which headers of any type are much more frequent than in noise. */
static void test_patterns(void)
{
	static const uint8_t bytes[] = { 0, 0, 0, 0xFF, 0xFF, 0x04, 0x20, 0x55, 0x92, 0x49, 0x24 };
	unsigned num_starts = 0;

	for (unsigned round = 0; round < 4000; round++) {
		uint8_t data[300];
		const size_t nbytes = below(sizeof(data));
		uint64_t from;

		for (size_t i = 0; i < nbytes; i++)
			data[i] = below(20) == 0 ? (uint8_t)random64() :
				bytes[below(3 + round % 9)];
		from = below(40);
		num_starts += compare(data, nbytes, from, below(8) == 0 ? below(2400) : NOWHERE);
	}
	require(num_starts > 100, "no starts in patterns", num_starts);
	printf("patterns: %u starts\n", num_starts);
}

int main(void)
{
	test_headers();
	test_repeats();
	test_stored();
	test_stored_before_dynamic();
	test_stored_chain();
	test_damaged();
	test_patterns();
	test_zlib_streams();
	return 0;
}
