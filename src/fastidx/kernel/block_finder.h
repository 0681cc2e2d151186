/*
 * block_finder.h - where in the middle of a DEFLATE stream (RFC 1951) a block may begin.
 *
 * For decoding ahead of the known position: a candidate is a guess. It is a very good one, but
 * only arriving there from the block before proves it.
 */
#ifndef FASTIDX_BLOCK_FINDER_H
#define FASTIDX_BLOCK_FINDER_H

#include "common.h"

struct fi_block_start {
	uint64_t bit;  /* dynamic: of BFINAL; stored: of LEN, whose byte it is the first bit of */
	bool stored;
};

/*
 * The first candidate at or after bit `from` and before bit `to` of the stream data[0..nbytes);
 * false: there is none. Bits count from the lowest of data[0], `from` may be as large as it
 * likes.
 *
 * Found are dynamic and stored blocks, empty ones (sync flushes) included, that are not the
 * last. Not found: fixed blocks, which begin with nothing to tell them by; stored blocks with
 * data that a fixed one follows; and blocks whose own header, or for stored ones the next
 * header, is not in the buffer.
 *
 * What stands before LEN is not looked at further than to the padding: a stored block that is
 * the last of its stream may be found too. Who arrives there knows.
 */
bool fi_find_block(const uint8_t *data, size_t nbytes, uint64_t from, uint64_t to,
		   struct fi_block_start *start_ret);

#endif /* FASTIDX_BLOCK_FINDER_H */
