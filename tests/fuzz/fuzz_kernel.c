/*
 * fuzz_kernel.c - one target for the decoder and for speculation, by libFuzzer or by itself.
 *
 * Corpus (from FASTIDX_TEST_DATA, and streams that zlib writes), build and run, from the root of the tree:
 *
 *     python tests/fuzz/make_corpus.py build/corpus
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Isrc/fastidx/kernel \
 *         tests/fuzz/fuzz_kernel.c src/fastidx/kernel/[a-z]*.c -lz -o build/fuzz_kernel
 *     build/fuzz_kernel -max_len=20000 -max_total_time=600 -artifact_prefix=build/ build/corpus
 *
 * What fails is kept in a file; build/fuzz_kernel FILE runs it again. Where there is no libFuzzer,
 * a program with a main of its own decodes the files that it is given and some mutants of each:
 *
 *     gcc -g -O1 -DFUZZ_STANDALONE -Isrc/fastidx/kernel tests/fuzz/fuzz_kernel.c \
 *         src/fastidx/kernel/[a-z]*.c -lz -o fuzz_kernel
 *
 * An input is three bytes of choices, see struct choices, and a stream. Besides what the sanitizers
 * see, it is a failure if
 *
 *     raw      zlib has another verdict or other data; pieces of any size, on both sides, or room for
 *              exactly the output make a difference, or room for one byte less makes none
 *     gzip     pieces make a difference, or a member's CRC-32 is not what zlib computes
 *     markers  a speculation from a found start that is a boundary, resolved and then gone on from, as
 *              the parallel decoder does it, is not the serial decode; or a start is not found
 */
#include "block_finder.h"
#include "cpu.h"
#include "crc32.h"
#include "gunzip.h"
#include "markers.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define MAX_OUT        ((size_t)1 << 17)
#define MAX_PIECES     300 /* each takes a copy of the history; then comes all the rest */
#define MAX_BOUNDARIES 512
#define MAX_STARTS     16

enum kind { RAW, GZIP, MARKERS, NUM_KINDS };

struct choices {
	enum kind kind;
	bool portable;
	enum fi_gunzip_checks checks;
	unsigned max_in, max_out; /* largest pieces */
	uint64_t random;
};

struct result {
	enum fi_status status;
	size_t nbytes, taken;
	uint64_t nmembers;
	uint8_t *out;
};

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "FAILED: %s\n", what);
	abort();
}

/* A block of exactly this size, so that a sanitizer sees each step beyond it. */
static void *block(size_t nbytes)
{
	void *p = malloc(nbytes != 0 ? nbytes : 1);

	require(p != NULL, "out of memory");
	return p;
}

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint64_t random64(uint64_t *s)
{
	*s ^= *s << 13; /* xorshift */
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static bool is_verdict(enum fi_status status)
{
	return status > FI_BLOCK_BOUNDARY;
}

/* ---- Raw streams and gzip members ------------------------------------------------------------- */

/* Decodes until the end, a verdict, or the room is used up. Pieces are blocks of exactly their size. */
static struct result decode(const uint8_t *data, size_t nbytes, size_t room, bool in_pieces,
			    struct choices c)
{
	struct fi_gunzip *g = block(sizeof(*g));
	struct result r = { FI_DONE, 0, 0, 0, block(room) };
	size_t member_begin = 0;

	fi_gunzip_init(g, c.checks);
	for (unsigned piece = 0;; piece++) {
		const size_t history = min_of(r.nbytes, DEFLATE_WINDOW_NBYTES);
		size_t in = nbytes - r.taken, out = room - r.nbytes, made;
		uint8_t *in_block = NULL, *out_block = NULL;
		struct fi_io io;

		if (in_pieces && piece < MAX_PIECES) {
			in = min_of(in, random64(&c.random) % c.max_in + 1);
			out = min_of(out, random64(&c.random) % c.max_out + 1);
		}
		if (in_pieces) {
			in_block = block(in);
			memcpy(in_block, data + r.taken, in);
			out_block = block(history + out);
			memcpy(out_block, r.out + r.nbytes - history, history);
		}
		io.in_next = in_pieces ? in_block : data + r.taken;
		io.in_end = io.in_next + in;
		io.out_next = in_pieces ? out_block + history : r.out + r.nbytes;
		io.out_stop = io.out_end = io.out_next + out;
		io.pause_at = NULL;
		r.status = c.kind == GZIP ? fi_gunzip_run(g, &io) : fi_inflate_run(&g->inflate, &io);
		made = out - (size_t)(io.out_end - io.out_next);
		r.taken += in - (size_t)(io.in_end - io.in_next);
		require(r.taken <= nbytes && made <= out, "stepped over an end");
		if (in_pieces)
			memcpy(r.out + r.nbytes, out_block + history, made);
		r.nbytes += made;
		free(in_block);
		free(out_block);

		if (c.kind == GZIP && r.status == FI_DONE) {
			const uint8_t *member = r.out + member_begin;
			const size_t n = r.nbytes - member_begin;

			require(c.checks == FI_CHECKS_IGNORED || g->crc == crc32(0, member, (uInt)n),
				"a wrong CRC-32");
			require(g->inflate.total_out == n, "a wrong count");
			member_begin = r.nbytes;
			continue;
		}
		if (r.status == FI_DONE || is_verdict(r.status) ||
		    (r.status == FI_NEED_INPUT && r.taken == nbytes) ||
		    (r.status == FI_OUTPUT_FULL && out == 0))
			break;
	}
	r.taken -= g->inflate.bitcount / 8;
	r.nmembers = g->nmembers;
	free(g);
	return r;
}

static void require_equal(const struct result *a, const struct result *b, const char *what)
{
	require(a->status == b->status && a->nmembers == b->nmembers && a->nbytes == b->nbytes &&
		memcmp(a->out, b->out, a->nbytes) == 0, what);
	require(a->status != FI_DONE || a->taken == b->taken, what);
}

static void compare_with_zlib(const uint8_t *data, size_t nbytes, const struct result *ours)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)nbytes };
	uint8_t *out = block(MAX_OUT);
	int status;

	z.next_out = out;
	z.avail_out = MAX_OUT;
	require(inflateInit2(&z, -15) == Z_OK, "inflateInit2");
	status = inflate(&z, Z_FINISH);
	require(z.total_out == ours->nbytes && memcmp(out, ours->out, ours->nbytes) == 0,
		"zlib has other data");
	if (status == Z_STREAM_END)
		require(ours->status == FI_DONE && ours->taken == z.total_in, "zlib accepts this");
	else if (status == Z_DATA_ERROR)
		require(is_verdict(ours->status), "zlib refuses this");
	else if (z.avail_out != 0) /* zlib waits for the lengths behind an empty code length code */
		require(ours->status == FI_NEED_INPUT || ours->status == FI_BAD_PRECODE,
			"zlib waits for more");
	inflateEnd(&z);
	free(out);
}

static void test_room(const uint8_t *data, size_t nbytes, const struct result *whole, struct choices c)
{
	struct result r = decode(data, nbytes, whole->nbytes, false, c);

	require_equal(whole, &r, "room for exactly the output");
	free(r.out);
	if (whole->nbytes == 0)
		return;
	r = decode(data, nbytes, whole->nbytes - 1, false, c);
	require(r.status == FI_OUTPUT_FULL && r.nbytes == whole->nbytes - 1, "one byte short");
	free(r.out);
}

static void test_decoder(const uint8_t *data, size_t nbytes, struct choices c)
{
	struct result whole = decode(data, nbytes, MAX_OUT, false, c);
	struct result in_pieces = decode(data, nbytes, MAX_OUT, true, c);

	require_equal(&whole, &in_pieces, "pieces");
	if (c.kind == RAW) {
		compare_with_zlib(data, nbytes, &whole);
		if (whole.status == FI_DONE)
			test_room(data, nbytes, &whole, c);
	}
	free(whole.out);
	free(in_pieces.out);
}

/* ---- Speculation ------------------------------------------------------------------------------ */

struct boundary {
	uint64_t bit;
	size_t pos; /* in the output */
};

struct serial {
	struct result result;
	struct boundary boundaries[MAX_BOUNDARIES];
	unsigned num_boundaries;
};

static unsigned bits_at(const uint8_t *data, size_t nbytes, uint64_t bit)
{
	const uint64_t byte = bit / 8;
	const unsigned next = byte + 1 < nbytes ? data[byte + 1] : 0;

	return byte < nbytes ? (data[byte] | next << 8) >> (bit & 7) : 0;
}

/* A code of a single bit: RFC and zlib know it for blocks that are empty, the finder does not. */
static bool has_one_litlen_code(const struct fi_inflate *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->num_litlen; i++)
		n += s->lens[i] != 0;
	return n == 1;
}

static void require_found(const uint8_t *data, size_t nbytes, uint64_t bit)
{
	struct fi_block_start start;

	require(fi_find_block(data, nbytes, bit, bit + 1, &start) && start.bit == bit && !start.stored,
		"a dynamic block is not found");
}

/* Decodes as the serial decoder does, noting each boundary between blocks. */
static struct serial *decode_serially(const uint8_t *data, size_t nbytes)
{
	struct serial *serial = block(sizeof(*serial));
	struct fi_inflate *s = block(sizeof(*s));
	struct result *r = &serial->result;
	struct fi_io io = { data, data + nbytes, block(MAX_OUT), NULL, NULL, NULL };
	struct boundary *last;

	r->out = io.out_next;
	io.out_stop = io.out_end = io.out_next + MAX_OUT;
	fi_inflate_init(s);
	serial->boundaries[0] = (struct boundary){ 0, 0 };
	serial->num_boundaries = 1;
	do {
		const bool note = serial->num_boundaries < MAX_BOUNDARIES;

		last = &serial->boundaries[serial->num_boundaries - 1];
		io.pause_at = note ? data + last->bit / 8 + 1 : NULL;
		r->status = fi_inflate_run(s, &io);
		if (r->status == FI_BLOCK_BOUNDARY) {
			const uint64_t bit = fi_inflate_bit_position(s, (uint64_t)(io.in_next - data));

			require(bit > last->bit && s->phase == FI_PHASE_BLOCK_HEADER, "no boundary");
			if ((bits_at(data, nbytes, last->bit) & 7) == 4 && !has_one_litlen_code(s))
				require_found(data, nbytes, last->bit);
			last[1] = (struct boundary){ bit, (size_t)(io.out_next - r->out) };
			serial->num_boundaries++;
		}
	} while (r->status == FI_BLOCK_BOUNDARY);
	r->nbytes = (size_t)(io.out_next - r->out);
	free(s);
	return serial;
}

/* The boundary that a guess began at, or NULL if there is none; see FrontDecoder.stands_before(). */
static const struct boundary *boundary_of(const struct serial *serial, const struct fi_block_start *start,
					  const uint8_t *data, size_t nbytes)
{
	for (unsigned i = 0; i < serial->num_boundaries; i++) {
		const struct boundary *b = &serial->boundaries[i];

		if (!start->stored && b->bit == start->bit)
			return b;
		if (start->stored && (b->bit + 3 + 7) / 8 * 8 == start->bit &&
		    (bits_at(data, nbytes, b->bit) & 7) == 0)
			return b;
	}
	return NULL;
}

struct guess {
	struct fi_inflate state;
	struct fi_marker_table table;
	enum fi_status status;
	uint16_t *history, *symbols;
	size_t nsymbols, stopped_at;
};

/* As Speculation.decode() does. */
static void decode_guess(struct guess *g, const uint8_t *data, size_t nbytes,
			 const struct fi_block_start *start, size_t end, size_t capacity)
{
	struct fi_inflate *s = &g->state;
	const unsigned nbits = start->bit & 7;
	struct fi_io io;

	g->history = block(2 * (DEFLATE_WINDOW_NBYTES + capacity));
	g->symbols = g->history + DEFLATE_WINDOW_NBYTES;
	fi_markers_fill_window(g->history);
	fi_inflate_init(s);
	s->total_out = DEFLATE_WINDOW_NBYTES;
	io.in_next = data + start->bit / 8;
	io.in_end = data + nbytes;
	if (start->stored) {
		s->phase = FI_PHASE_STORED_LENGTH;
	} else if (nbits != 0) {
		s->bitbuf = *io.in_next++ >> nbits;
		s->bitcount = 8 - nbits;
	}
	io.out_next = (uint8_t *)g->symbols;
	io.out_stop = io.out_end = (uint8_t *)(g->symbols + capacity);
	io.pause_at = data + end;
	do {
		g->status = fi_inflate_run_markers(s, &io);
	} while (g->status == FI_OUTPUT_FULL && io.out_next != io.out_end);
	g->nsymbols = (size_t)((uint16_t *)io.out_next - g->symbols);
	g->stopped_at = (size_t)(io.in_next - data);
	for (size_t i = 0; i < g->nsymbols; i++)
		require(g->symbols[i] < 256 || g->symbols[i] >= 0x8000, "neither byte nor marker");
}

/* Goes on behind the guess, of which `out` has the data behind a window; then nothing may differ. */
static void go_on(struct guess *g, const uint8_t *data, size_t nbytes, const struct boundary *b,
		  const struct serial *serial, uint8_t *window)
{
	uint8_t *const out = window + DEFLATE_WINDOW_NBYTES;
	struct fi_io io = { data + g->stopped_at, data + nbytes, out + g->nsymbols, NULL, NULL, NULL };
	enum fi_status status;

	io.out_stop = io.out_end = out + MAX_OUT - b->pos;
	g->state.total_out = b->pos + g->nsymbols;
	status = fi_inflate_run(&g->state, &io);
	require(status == serial->result.status, "another verdict behind the guess");
	require((size_t)(io.out_next - out) == serial->result.nbytes - b->pos &&
		memcmp(out, serial->result.out + b->pos, serial->result.nbytes - b->pos) == 0,
		"other data behind the guess");
}

/* As FrontDecoder.adopt() does. */
static void adopt(struct guess *g, const uint8_t *data, size_t nbytes, const struct boundary *b,
		  const struct serial *serial)
{
	const struct result *r = &serial->result;
	const size_t known = min_of(b->pos, DEFLATE_WINDOW_NBYTES), n = g->nsymbols;
	uint8_t *window;

	if (fi_markers_lowest(g->symbols, n) < DEFLATE_WINDOW_NBYTES - known) {
		require(r->status == FI_BAD_DISTANCE || r->nbytes == MAX_OUT,
			"refers to what lies before the stream");
		return;
	}
	if (b->pos + n > MAX_OUT)
		return;
	window = block(DEFLATE_WINDOW_NBYTES + MAX_OUT - b->pos);
	memset(window, 0, DEFLATE_WINDOW_NBYTES);
	memcpy(window + DEFLATE_WINDOW_NBYTES - known, r->out + b->pos - known, known);
	fi_markers_set_window(&g->table, window);
	fi_markers_resolve(&g->table, window + DEFLATE_WINDOW_NBYTES, g->symbols, n);
	require(b->pos + n <= r->nbytes &&
		memcmp(window + DEFLATE_WINDOW_NBYTES, r->out + b->pos, n) == 0, "guessed other data");
	if (is_verdict(g->status))
		require(g->status == r->status && b->pos + n == r->nbytes, "a verdict of its own");
	else
		go_on(g, data, nbytes, b, serial, window);
	free(window);
}

static void test_speculation(const uint8_t *data, size_t nbytes, struct choices c)
{
	struct serial *serial = decode_serially(data, nbytes);
	struct fi_block_start start;
	uint64_t from = 0;

	for (unsigned i = 0; i < MAX_STARTS && fi_find_block(data, nbytes, from, 8 * nbytes, &start); i++) {
		const struct boundary *b = boundary_of(serial, &start, data, nbytes);
		const size_t begin = (size_t)(start.bit / 8);
		const size_t end = begin + random64(&c.random) % (nbytes - begin + 1);
		const size_t most = random64(&c.random) & 1 ? MAX_OUT : 5000;
		const size_t capacity = 1 + random64(&c.random) % most;
		struct guess *g = block(sizeof(*g));

		require(start.bit >= from, "found before where the search began");
		decode_guess(g, data, nbytes, &start, end, capacity);
		if (b != NULL)
			adopt(g, data, nbytes, b, serial);
		free(g->history);
		free(g);
		from = start.bit + 1;
	}
	free(serial->result.out);
	free(serial);
}

/* ---- The target ------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);
const char *__asan_default_options(void);

/* Blocks are large here, and nothing is read long after it was freed. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	struct choices c;

	if (nbytes < 3)
		return 0;
	c.kind = (enum kind)(data[0] % NUM_KINDS);
	c.portable = (data[1] & 1) != 0;
	c.checks = (enum fi_gunzip_checks)((data[1] >> 1) % 3);
	c.max_in = 1u << (data[2] & 15);
	c.max_out = 1u << (data[2] >> 4);
	c.random = 0x9E3779B97F4A7C15 ^ data[0] ^ (uint64_t)data[1] << 8 ^ (uint64_t)data[2] << 16;
	fi_cpu_init(c.portable);
	if (c.kind == MARKERS)
		test_speculation(data + 3, nbytes - 3, c);
	else
		test_decoder(data + 3, nbytes - 3, c);
	return 0;
}

#ifdef FUZZ_STANDALONE
enum { MAX_FILE = 1 << 20, NUM_MUTANTS = 20 };

static void mutate(uint8_t *data, size_t nbytes, uint64_t *random)
{
	for (unsigned n = 1 + random64(random) % 4; n != 0 && nbytes != 0; n--)
		data[random64(random) % nbytes] ^= (uint8_t)(1 << random64(random) % 8);
}

int main(int argc, char **argv)
{
	static uint8_t content[MAX_FILE];
	uint64_t random = 1;

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		const size_t nbytes = f != NULL ? fread(content, 1, MAX_FILE, f) : 0;

		require(f != NULL, argv[i]);
		fclose(f);
		for (unsigned mutant = 0; mutant <= NUM_MUTANTS; mutant++) {
			uint8_t *data = block(nbytes);

			memcpy(data, content, nbytes);
			if (mutant != 0)
				mutate(data, nbytes, &random);
			LLVMFuzzerTestOneInput(data, nbytes);
			free(data);
		}
	}
	return 0;
}
#endif
