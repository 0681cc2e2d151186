/*
 * inflate.h - the DEFLATE decoder (RFC 1951): one state, which may stop and go on at any byte of input
 * and at any byte of output.
 */
#ifndef FASTIDX_INFLATE_H
#define FASTIDX_INFLATE_H

#include "common.h"
#include "huffman.h"
#include "status.h"

/*
 * The bytes in flight during one call. The call moves in_next and out_next.
 *
 * Output is its own LZ77 history: the bytes just before out_next must be the last that this stream
 * produced, up to 32 KiB of them (fewer where it has not produced as many).
 *
 * The decoder never writes at or past out_end, but may leave scratch bytes between out_next and out_end.
 * It returns at the first convenient place at or after out_stop, so that the caller can look at the
 * output while it is in the cache. Stopping so is cheaper than running into out_end, because near
 * out_end each symbol has to be checked.
 */
struct fi_io {
	const uint8_t *in_next;
	const uint8_t *in_end;
	uint8_t *out_next;
	uint8_t *out_stop;  /* out_next <= out_stop <= out_end */
	uint8_t *out_end;
	const uint8_t *pause_at; /* return at the first block boundary at or past this byte; NULL: do not */
};

enum fi_inflate_phase {
	FI_PHASE_BLOCK_HEADER = 0,
	FI_PHASE_STORED_LENGTH,
	FI_PHASE_STORED_DATA,
	FI_PHASE_CODE_COUNTS,
	FI_PHASE_PRECODE_LENS,
	FI_PHASE_CODEWORD_LENS,
	FI_PHASE_SYMBOLS,
	FI_PHASE_MATCH,
	FI_PHASE_END,
};

/*
 * Input is taken whole: bytes that a call could not use yet wait in bitbuf. The stream's position in
 * bits is therefore 8 * (bytes consumed) - bitcount.
 */
struct fi_inflate {
	uint64_t bitbuf;          /* next bit lowest; bits above bitcount are zero between calls */
	unsigned bitcount;
	enum fi_inflate_phase phase;
	bool final_block;
	bool fixed_tables;        /* the tables hold the fixed codes */
	uint64_t total_out;       /* bytes of this stream so far */

	unsigned stored_left;     /* FI_PHASE_STORED_DATA */
	unsigned match_left;      /* FI_PHASE_MATCH: what found no room */
	unsigned match_distance;

	unsigned num_precode, num_litlen, num_dist;  /* the dynamic block header in progress */
	unsigned num_lens_read;
	uint8_t precode_lens[DEFLATE_NUM_PRECODE_SYMS];
	uint8_t lens[DEFLATE_NUM_LITLEN_SYMS + DEFLATE_NUM_DIST_SYMS];

	fi_entry precode_table[FI_PRECODE_TABLE_SIZE];
	fi_entry litlen_table[FI_LITLEN_TABLE_SIZE];
	fi_entry dist_table[FI_DIST_TABLE_SIZE];
};

/* Ready for the first bit of a stream. */
void fi_inflate_init(struct fi_inflate *s);

/*
 * Ready for another stream that begins at the next whole byte: bytes that wait in bitbuf stay, bits
 * before the byte boundary go.
 */
void fi_inflate_next_stream(struct fi_inflate *s);

/*
 * Decodes until the final block has ended (FI_DONE), the input is used up (FI_NEED_INPUT), out_stop or
 * out_end is reached (FI_OUTPUT_FULL), or the input is found to be invalid. With no room at all, a
 * stream that only has to end still ends. FI_BLOCK_BOUNDARY: io->pause_at is reached.
 */
enum fi_status fi_inflate_run(struct fi_inflate *s, struct fi_io *io);

/*
 * The same for output of 16-bit symbols: out_next and its companions, still counted in bytes, point to
 * uint16_t. Whatever the history holds is copied like any other symbol, so a history of numbered markers
 * stands in for one that is not known yet (see markers.h).
 */
enum fi_status fi_inflate_run_markers(struct fi_inflate *s, struct fi_io *io);

/* The position in bits within the input of which io->in_next points to byte in_pos. */
static inline uint64_t fi_inflate_bit_position(const struct fi_inflate *s, uint64_t in_pos)
{
	return 8 * in_pos - s->bitcount;
}

/*
 * The next whole byte after the stream, for the container's framing: first from bitbuf, then from the input.
 * False: no byte is left.
 */
bool fi_inflate_take_byte(struct fi_inflate *s, struct fi_io *io, uint8_t *byte_ret);

/* The name of the symbol loop that fi_cpu() makes fi_inflate_run() take. */
const char *fi_inflate_variant(void);

#endif /* FASTIDX_INFLATE_H */
