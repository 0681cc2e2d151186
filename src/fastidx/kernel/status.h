/*
 * status.h - how a kernel call ends.
 *
 * The first four are the ordinary endings; everything from FI_BAD_BLOCK_TYPE on is a verdict on the
 * input. _kernel.pyx turns verdicts into exceptions in one function and nowhere else.
 */
#ifndef FASTIDX_STATUS_H
#define FASTIDX_STATUS_H

enum fi_status {
	FI_DONE = 0,          /* the stream ended as its format says it should */
	FI_NEED_INPUT,        /* all input is consumed and the stream goes on */
	FI_OUTPUT_FULL,       /* the room given is used up and the stream goes on */
	FI_BLOCK_BOUNDARY,    /* where it was to pause, and the stream goes on */

	/* DEFLATE (RFC 1951) */
	FI_BAD_BLOCK_TYPE,    /* BTYPE 11 */
	FI_BAD_STORED_LENGTH, /* LEN is not the complement of NLEN */
	FI_BAD_CODE_COUNTS,   /* HLIT > 286 or HDIST > 30 codes */
	FI_BAD_PRECODE,       /* the code length code is over-subscribed or incomplete */
	FI_BAD_REPEAT,        /* a code length repeat with nothing before it or past the end */
	FI_NO_END_OF_BLOCK,   /* symbol 256 has no code */
	FI_BAD_LITLEN_CODE,   /* the literal/length code is over-subscribed or incomplete */
	FI_BAD_DIST_CODE,     /* the distance code is over-subscribed or incomplete */
	FI_BAD_LITLEN_SYMBOL, /* a code that stands for no literal or length */
	FI_BAD_DIST_SYMBOL,   /* a code that stands for no distance */
	FI_BAD_DISTANCE,      /* a match that starts before the first byte of the stream */

	/* gzip (RFC 1952) */
	FI_BAD_MAGIC,         /* a member does not start with 1F 8B */
	FI_BAD_METHOD,        /* CM is not 8 */
	FI_BAD_FLAGS,         /* a reserved bit of FLG is set */
	FI_BAD_HEADER_CRC,    /* FHCRC: CRC16 of the header differs */
	FI_BAD_CRC,           /* CRC-32 of the data differs */
	FI_BAD_ISIZE,         /* the data's length modulo 2**32 differs */
	FI_TRAILING_DATA,     /* something other than a member or zero padding follows the last member */
};

#endif /* FASTIDX_STATUS_H */
