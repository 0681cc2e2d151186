/*
 * inflate.c - the DEFLATE decoder's state machine.
 *
 * What it does. fi_inflate_run() is a loop over the phases of a block. Each phase takes its input in units
 * that are decoded whole or not at all (a block header, a code length with its repeat count, a literal, a
 * length with its distance). No unit is longer than 48 bits, bitbuf holds 56 or more, so a unit whose
 * end has not arrived simply waits in bitbuf: there is no half-decoded symbol in the state, and a call may
 * end after any byte of input. A match that finds too little room is the one unit that is emitted in
 * parts; FI_PHASE_MATCH remembers the rest.
 *
 * Why it is fast. Nearly all symbols are decoded by the template in inflate_fastloop.h, which runs
 * wherever there is some distance to the ends of input and output. The functions here are the checked
 * remainder.
 *
 * What it refuses. Exactly what zlib refuses: see enum fi_status.
 */
#include "inflate.h"

#include "cpu.h"
#include "match_copy.h"

static bool use_avx2(void)
{
	return fi_cpu()->avx2 && fi_cpu()->bmi2;
}

const char *fi_inflate_variant(void)
{
	return use_avx2() ? "avx2" : "portable";
}

static void reset_block_state(struct fi_inflate *s)
{
	s->phase = FI_PHASE_BLOCK_HEADER;
	s->final_block = false;
	s->total_out = 0;
}

void fi_inflate_init(struct fi_inflate *s)
{
	reset_block_state(s);
	s->bitbuf = 0;
	s->bitcount = 0;
	s->fixed_tables = false;
}

static void drop_bits(struct fi_inflate *s, unsigned nbits)
{
	s->bitbuf >>= nbits;
	s->bitcount -= nbits;
}

static void drop_to_byte_boundary(struct fi_inflate *s)
{
	drop_bits(s, s->bitcount & 7);
}

void fi_inflate_next_stream(struct fi_inflate *s)
{
	drop_to_byte_boundary(s);
	reset_block_state(s);
}

/* At least 56 bits, or all that there are. */
static void refill(struct fi_inflate *s, struct fi_io *io)
{
	while (s->bitcount < 56 && io->in_next != io->in_end) {
		s->bitbuf |= (uint64_t)*io->in_next++ << s->bitcount;
		s->bitcount += 8;
	}
}

/* Bit buffer with at least nbits bits, or false: the input ends before. */
static bool have_bits(struct fi_inflate *s, struct fi_io *io, unsigned nbits)
{
	if (s->bitcount < nbits)
		refill(s, io);
	return s->bitcount >= nbits;
}

static unsigned take_bits(struct fi_inflate *s, unsigned nbits)
{
	unsigned value = (unsigned)(s->bitbuf & ((1u << nbits) - 1));

	drop_bits(s, nbits);
	return value;
}

bool fi_inflate_take_byte(struct fi_inflate *s, struct fi_io *io, uint8_t *byte_ret)
{
	drop_to_byte_boundary(s);
	if (!have_bits(s, io, 8))
		return false;
	*byte_ret = (uint8_t)take_bits(s, 8);
	return true;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Whether the position, rounded down to a byte, is a block boundary at or past io->pause_at. */
static bool at_pause(const struct fi_inflate *s, const struct fi_io *io)
{
	return s->phase == FI_PHASE_BLOCK_HEADER && io->pause_at != NULL &&
		io->in_next - io->pause_at >= (ptrdiff_t)((s->bitcount + 7) / 8);
}

/* ---- Block headers, section 3.2.3 ------------------------------------------------------------- */

static enum fi_status begin_fixed_block(struct fi_inflate *s)
{
	unsigned sym = 0;

	if (!s->fixed_tables) {
		/* section 3.2.6 */
		while (sym < 144)
			s->lens[sym++] = 8;
		while (sym < 256)
			s->lens[sym++] = 9;
		while (sym < 280)
			s->lens[sym++] = 7;
		while (sym < DEFLATE_NUM_LITLEN_SYMS)
			s->lens[sym++] = 8;
		fi_build_litlen_table(s->litlen_table, s->lens, DEFLATE_NUM_LITLEN_SYMS);
		memset(s->lens, 5, DEFLATE_NUM_DIST_SYMS);
		fi_build_dist_table(s->dist_table, s->lens, DEFLATE_NUM_DIST_SYMS);
		s->fixed_tables = true;
	}
	s->phase = FI_PHASE_SYMBOLS;
	return FI_DONE;
}

static enum fi_status read_block_header(struct fi_inflate *s, struct fi_io *io)
{
	if (!have_bits(s, io, 3))
		return FI_NEED_INPUT;
	s->final_block = take_bits(s, 1) != 0;
	switch (take_bits(s, 2)) {
	case DEFLATE_BLOCK_STORED:
		drop_to_byte_boundary(s);
		s->phase = FI_PHASE_STORED_LENGTH;
		return FI_DONE;
	case DEFLATE_BLOCK_FIXED:
		return begin_fixed_block(s);
	case DEFLATE_BLOCK_DYNAMIC:
		s->phase = FI_PHASE_CODE_COUNTS;
		return FI_DONE;
	default:
		return FI_BAD_BLOCK_TYPE;
	}
}

static void end_block(struct fi_inflate *s)
{
	s->phase = s->final_block ? FI_PHASE_END : FI_PHASE_BLOCK_HEADER;
}

/* ---- Stored blocks, section 3.2.4 ------------------------------------------------------------- */

static enum fi_status read_stored_length(struct fi_inflate *s, struct fi_io *io)
{
	unsigned len, nlen;

	if (!have_bits(s, io, 32))
		return FI_NEED_INPUT;
	len = take_bits(s, 16);
	nlen = take_bits(s, 16);
	if (len != (~nlen & 0xFFFF))
		return FI_BAD_STORED_LENGTH;
	s->stored_left = len;
	s->phase = FI_PHASE_STORED_DATA;
	return FI_DONE;
}

/* ---- Dynamic block headers, section 3.2.7 ----------------------------------------------------- */

static enum fi_status read_code_counts(struct fi_inflate *s, struct fi_io *io)
{
	if (!have_bits(s, io, 14))
		return FI_NEED_INPUT;
	s->num_litlen = 257 + take_bits(s, 5);
	s->num_dist = 1 + take_bits(s, 5);
	s->num_precode = 4 + take_bits(s, 4);
	if (s->num_litlen > DEFLATE_MAX_DYNAMIC_LITLEN || s->num_dist > DEFLATE_MAX_DYNAMIC_DIST)
		return FI_BAD_CODE_COUNTS;
	memset(s->precode_lens, 0, sizeof(s->precode_lens));
	s->num_lens_read = 0;
	s->phase = FI_PHASE_PRECODE_LENS;
	return FI_DONE;
}

static enum fi_status read_precode_lens(struct fi_inflate *s, struct fi_io *io)
{
	static const uint8_t order[DEFLATE_NUM_PRECODE_SYMS] = {
		16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
	};

	while (s->num_lens_read < s->num_precode) {
		if (!have_bits(s, io, 3))
			return FI_NEED_INPUT;
		s->precode_lens[order[s->num_lens_read++]] = (uint8_t)take_bits(s, 3);
	}
	if (!fi_build_precode_table(s->precode_table, s->precode_lens))
		return FI_BAD_PRECODE;
	s->num_lens_read = 0;
	s->phase = FI_PHASE_CODEWORD_LENS;
	return FI_DONE;
}

static enum fi_status build_dynamic_tables(struct fi_inflate *s)
{
	s->fixed_tables = false;
	if (s->lens[DEFLATE_END_OF_BLOCK] == 0)
		return FI_NO_END_OF_BLOCK;
	if (!fi_build_litlen_table(s->litlen_table, s->lens, s->num_litlen))
		return FI_BAD_LITLEN_CODE;
	if (!fi_build_dist_table(s->dist_table, s->lens + s->num_litlen, s->num_dist))
		return FI_BAD_DIST_CODE;
	s->phase = FI_PHASE_SYMBOLS;
	return FI_DONE;
}

/*
 * Reads as many of the lengths as the input has. Both codes' lengths form one sequence: a repeat may
 * cross from the first into the second. The bits are kept in locals, since a store to lens could, for all
 * that the compiler knows, change them in the state.
 */
static enum fi_status read_lens(struct fi_inflate *s, struct fi_io *io)
{
	/* Symbols 16, 17, 18: repeat the previous length, a zero, a zero */
	static const uint8_t extra_bits[3] = {2, 3, 7};
	static const uint8_t least_repeat[3] = {3, 3, 11};
	const unsigned num_lens = s->num_litlen + s->num_dist;
	const uint8_t *in_next = io->in_next;
	uint64_t bitbuf = s->bitbuf;
	unsigned bitcount = s->bitcount;
	unsigned i = s->num_lens_read;
	enum fi_status status = FI_DONE;

	while (i < num_lens) {
		fi_entry entry;
		unsigned sym, nbits, repeat;

		while (bitcount < DEFLATE_MAX_PRECODEWORD_LEN + 7 && in_next != io->in_end) {
			bitbuf |= (uint64_t)*in_next++ << bitcount;
			bitcount += 8;
		}
		entry = s->precode_table[bitbuf & (FI_PRECODE_TABLE_SIZE - 1)];
		sym = FI_ENTRY_PAYLOAD(entry);
		nbits = FI_ENTRY_CONSUMED(entry) + (sym < 16 ? 0 : extra_bits[sym - 16]);
		if (nbits > bitcount) {
			status = FI_NEED_INPUT;
			break;
		}
		if (sym < 16) {
			s->lens[i++] = (uint8_t)sym;
		} else {
			repeat = (unsigned)(bitbuf & ((1u << nbits) - 1)) >> FI_ENTRY_CONSUMED(entry);
			repeat += least_repeat[sym - 16];
			if (repeat > num_lens - i || (sym == 16 && i == 0)) {
				status = FI_BAD_REPEAT;
				break;
			}
			memset(s->lens + i, sym == 16 ? s->lens[i - 1] : 0, repeat);
			i += repeat;
		}
		bitbuf >>= nbits;
		bitcount -= nbits;
	}
	io->in_next = in_next;
	s->bitbuf = bitbuf;
	s->bitcount = bitcount;
	s->num_lens_read = i;
	return status;
}

static enum fi_status read_codeword_lens(struct fi_inflate *s, struct fi_io *io)
{
	enum fi_status status = read_lens(s, io);

	return status == FI_DONE ? build_dynamic_tables(s) : status;
}

/* Phases whose work does not depend on how output is represented. */
static enum fi_status run_header_phase(struct fi_inflate *s, struct fi_io *io)
{
	switch (s->phase) {
	case FI_PHASE_BLOCK_HEADER:
		return read_block_header(s, io);
	case FI_PHASE_STORED_LENGTH:
		return read_stored_length(s, io);
	case FI_PHASE_CODE_COUNTS:
		return read_code_counts(s, io);
	case FI_PHASE_PRECODE_LENS:
		return read_precode_lens(s, io);
	default:
		return read_codeword_lens(s, io);
	}
}

/* ---- Symbols, section 3.2.5 ------------------------------------------------------------------- */

/*
 * The entry that the low bits of `bits` select, subtable included, and in *nbits_ret how many bits the
 * codeword and its extra bits take.
 */
static fi_entry look_up(const fi_entry *table, unsigned table_bits, uint64_t bits, unsigned *nbits_ret)
{
	fi_entry entry = table[bits & ((1u << table_bits) - 1)];
	unsigned link_bits = 0;

	if (entry & FI_ENTRY_SUBTABLE) {
		link_bits = table_bits;
		bits >>= table_bits;
		entry = table[FI_ENTRY_PAYLOAD(entry) + (bits & ((1u << FI_ENTRY_CODEWORD_BITS(entry)) - 1))];
	}
	*nbits_ret = link_bits + FI_ENTRY_CONSUMED(entry);
	return entry;
}

/* Base plus extra bits of an entry whose codeword and extra bits end at bit nbits of `bits`. */
static unsigned entry_value(fi_entry entry, uint64_t bits, unsigned nbits)
{
	const unsigned extra = FI_ENTRY_CONSUMED(entry) - FI_ENTRY_CODEWORD_BITS(entry);

	return FI_ENTRY_PAYLOAD(entry) + (unsigned)((bits >> (nbits - extra)) & ((1u << extra) - 1));
}

/* ---- Symbols as bytes, and as bytes or markers ------------------------------------------------ */

#define FI_SYMBOL     uint8_t
#define FI_NAME(name) name##_bytes
#include "inflate_symbols.h"
#undef FI_SYMBOL
#undef FI_NAME

#define FI_SYMBOL     uint16_t
#define FI_NAME(name) name##_markers
#include "inflate_symbols.h"
#undef FI_SYMBOL
#undef FI_NAME

enum fi_status fi_inflate_run(struct fi_inflate *s, struct fi_io *io)
{
	return run_bytes(s, io);
}

enum fi_status fi_inflate_run_markers(struct fi_inflate *s, struct fi_io *io)
{
	return run_markers(s, io);
}
