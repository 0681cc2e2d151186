/*
 * inflate_symbols.h - the part of the decoder that produces output. A template: inflate.c includes it
 * once for each representation of the output, with
 *
 *     FI_SYMBOL      the type of one decoded symbol: uint8_t, or uint16_t for bytes and markers alike
 *     FI_NAME(name)  the name of a function of this instance
 *
 * Both instances run the same code over the same state; what differs is the width of a store. The
 * pointers in struct fi_io are in bytes for both, distances and lengths count symbols.
 */

/* Derived in inflate_fastloop.h. */
#ifndef FI_FAST_IN_MARGIN
#  define FI_FAST_IN_MARGIN  (2 * 7 + 8)
#  define FI_FAST_OUT_MARGIN (2 + DEFLATE_MAX_MATCH_LEN + FI_COPY_OVERRUN)
#endif

#define FI_FASTLOOP        FI_NAME(decode_fast_portable)
#define FI_FASTLOOP_TARGET
#define FI_COPY_MATCH      FI_NAME(fi_copy_match)
#include "inflate_fastloop.h"
#undef FI_FASTLOOP
#undef FI_FASTLOOP_TARGET
#undef FI_COPY_MATCH

#if FI_X86_64 && FI_HAS_TARGET
#  define FI_FASTLOOP        FI_NAME(decode_fast_avx2)
#  define FI_FASTLOOP_TARGET FI_TARGET("avx2,bmi2")
#  define FI_COPY_MATCH      FI_NAME(fi_copy_match_avx2)
#  include "inflate_fastloop.h"
#  undef FI_FASTLOOP
#  undef FI_FASTLOOP_TARGET
#  undef FI_COPY_MATCH
#endif

static size_t FI_NAME(room)(const struct fi_io *io)
{
	return (size_t)(io->out_end - io->out_next) / sizeof(FI_SYMBOL);
}

static void FI_NAME(emit)(struct fi_io *io, FI_SYMBOL symbol)
{
	FI_SYMBOL *out_next = (FI_SYMBOL *)io->out_next;

	*out_next++ = symbol;
	io->out_next = (uint8_t *)out_next;
}

static enum fi_status FI_NAME(copy_stored_data)(struct fi_inflate *s, struct fi_io *io)
{
	size_t n, i;

	while (s->stored_left != 0 && s->bitcount != 0 && FI_NAME(room)(io) != 0) {
		FI_NAME(emit)(io, (FI_SYMBOL)take_bits(s, 8));
		s->stored_left--;
	}
	n = min_size(s->stored_left, FI_NAME(room)(io));
	n = min_size(n, (size_t)(io->in_end - io->in_next));
	if (n != 0) {
		FI_SYMBOL *out_next = (FI_SYMBOL *)io->out_next;

		for (i = 0; i < n; i++)
			out_next[i] = io->in_next[i];
		io->out_next = (uint8_t *)(out_next + n);
		io->in_next += n;
		s->stored_left -= (unsigned)n;
	}
	if (s->stored_left == 0) {
		end_block(s);
		return FI_DONE;
	}
	return FI_NAME(room)(io) == 0 ? FI_OUTPUT_FULL : FI_NEED_INPUT;
}

/* One symbol with every check. FI_DONE: it was taken, and s->phase says what follows. */
static enum fi_status FI_NAME(decode_symbol)(struct fi_inflate *s, struct fi_io *io, const FI_SYMBOL *history)
{
	unsigned nbits, dist_nbits;
	uint64_t dist_bits;
	fi_entry entry, dist_entry;

	refill(s, io);
	entry = look_up(s->litlen_table, FI_LITLEN_TABLE_BITS, s->bitbuf, &nbits);
	if (nbits > s->bitcount)
		return FI_NEED_INPUT;
	if (entry & FI_ENTRY_LITERAL) {
		if (FI_NAME(room)(io) == 0)
			return FI_OUTPUT_FULL;
		FI_NAME(emit)(io, (uint8_t)(entry >> 16));
		drop_bits(s, nbits);
		return FI_DONE;
	}
	if (entry & FI_ENTRY_EXCEPTIONAL) {
		if (!(entry & FI_ENTRY_END_OF_BLOCK))
			return FI_BAD_LITLEN_SYMBOL;
		drop_bits(s, nbits);
		end_block(s);
		return FI_DONE;
	}

	dist_bits = s->bitbuf >> nbits;
	dist_entry = look_up(s->dist_table, FI_DIST_TABLE_BITS, dist_bits, &dist_nbits);
	if (nbits + dist_nbits > s->bitcount)
		return FI_NEED_INPUT;
	if (dist_entry & FI_ENTRY_EXCEPTIONAL)
		return FI_BAD_DIST_SYMBOL;
	s->match_left = entry_value(entry, s->bitbuf, nbits);
	s->match_distance = entry_value(dist_entry, dist_bits, dist_nbits);
	if (s->match_distance > (size_t)((const FI_SYMBOL *)io->out_next - history))
		return FI_BAD_DISTANCE;
	drop_bits(s, nbits + dist_nbits);
	s->phase = FI_PHASE_MATCH;
	return FI_DONE;
}

static enum fi_status FI_NAME(copy_match)(struct fi_inflate *s, struct fi_io *io)
{
	size_t n = min_size(s->match_left, FI_NAME(room)(io));
	FI_SYMBOL *dst = (FI_SYMBOL *)io->out_next;
	const FI_SYMBOL *src = dst - s->match_distance;

	s->match_left -= (unsigned)n;
	while (n-- != 0)
		*dst++ = *src++;
	io->out_next = (uint8_t *)dst;
	if (s->match_left != 0)
		return FI_OUTPUT_FULL;
	s->phase = FI_PHASE_SYMBOLS;
	return FI_DONE;
}

static enum fi_status FI_NAME(decode_fast)(struct fi_inflate *s, struct fi_io *io, const FI_SYMBOL *history)
{
	const uint8_t *const last = io->out_end - FI_FAST_OUT_MARGIN * sizeof(FI_SYMBOL);
	const FI_SYMBOL *const out_fast_end = (const FI_SYMBOL *)(io->out_stop < last ? io->out_stop : last);

#if FI_X86_64 && FI_HAS_TARGET
	if (use_avx2())
		return FI_NAME(decode_fast_avx2)(s, io, history, out_fast_end);
#endif
	return FI_NAME(decode_fast_portable)(s, io, history, out_fast_end);
}

static enum fi_status FI_NAME(decode_symbols)(struct fi_inflate *s, struct fi_io *io, const FI_SYMBOL *history)
{
	if (io->in_end - io->in_next >= FI_FAST_IN_MARGIN && FI_NAME(room)(io) > FI_FAST_OUT_MARGIN &&
	    io->out_next < io->out_stop) {
		enum fi_status status = FI_NAME(decode_fast)(s, io, history);

		if (status == FI_DONE)
			end_block(s);
		if (status != FI_OUTPUT_FULL || io->out_next >= io->out_stop)
			return status;
	}
	return FI_NAME(decode_symbol)(s, io, history);
}

static enum fi_status FI_NAME(run_phase)(struct fi_inflate *s, struct fi_io *io, const FI_SYMBOL *history)
{
	switch (s->phase) {
	case FI_PHASE_STORED_DATA:
		return FI_NAME(copy_stored_data)(s, io);
	case FI_PHASE_SYMBOLS:
		return FI_NAME(decode_symbols)(s, io, history);
	case FI_PHASE_MATCH:
		return FI_NAME(copy_match)(s, io);
	case FI_PHASE_END:
		return FI_DONE;
	default:
		return run_header_phase(s, io);
	}
}

static enum fi_status FI_NAME(run)(struct fi_inflate *s, struct fi_io *io)
{
	FI_SYMBOL *const out_begin = (FI_SYMBOL *)io->out_next;
	const FI_SYMBOL *const history = out_begin - min_size((size_t)s->total_out, DEFLATE_WINDOW_NBYTES);
	enum fi_status status = FI_DONE;

	while (status == FI_DONE && s->phase != FI_PHASE_END) {
		if (at_pause(s, io)) {
			status = FI_BLOCK_BOUNDARY;
			break;
		}
		status = FI_NAME(run_phase)(s, io, history);
		if (status == FI_DONE && s->phase != FI_PHASE_END && io->out_next >= io->out_stop &&
		    io->out_next != (uint8_t *)out_begin)
			status = FI_OUTPUT_FULL;
	}
	s->total_out += (uint64_t)((FI_SYMBOL *)io->out_next - out_begin);
	return status;
}
