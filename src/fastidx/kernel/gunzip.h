/*
 * gunzip.h - gzip members (RFC 1952) around the DEFLATE decoder, with their checks.
 */
#ifndef FASTIDX_GUNZIP_H
#define FASTIDX_GUNZIP_H

#include "inflate.h"

enum fi_gunzip_phase {
	FI_GUNZIP_BETWEEN = 0,  /* before a member: zero padding (not before the first), ID1 or the end */
	FI_GUNZIP_ID2,
	FI_GUNZIP_CM,
	FI_GUNZIP_FLG,
	FI_GUNZIP_MTIME_XFL_OS,
	FI_GUNZIP_XLEN,
	FI_GUNZIP_EXTRA,
	FI_GUNZIP_NAME,
	FI_GUNZIP_COMMENT,
	FI_GUNZIP_HEADER_CRC,
	FI_GUNZIP_BODY,
	FI_GUNZIP_FOOTER,
};

/* What becomes of CRC-32 and ISIZE. */
enum fi_gunzip_checks {
	FI_CHECKS_IGNORED = 0,
	FI_CHECKS_COMPUTED,  /* crc is kept, footer_* are read; comparing them is the caller's */
	FI_CHECKS_COMPARED,
};

struct fi_gunzip {
	struct fi_inflate inflate;
	enum fi_gunzip_phase phase;
	enum fi_gunzip_checks checks;
	uint8_t flags;         /* FLG */
	uint32_t nbytes_read;  /* of the multi-byte field in progress, */
	uint64_t field;        /* and their value so far, little-endian */
	uint32_t header_crc;   /* CRC-32 of the header so far; FHCRC holds its low half */
	uint32_t crc;          /* CRC-32 of the member's data so far */
	uint32_t footer_crc, footer_isize;  /* what the footer says, once it is read */
	uint64_t nmembers;     /* complete members so far */
};

void fi_gunzip_init(struct fi_gunzip *g, enum fi_gunzip_checks checks);

/*
 * As fi_inflate_run(), for members: FI_DONE at the end of each, after its footer has been checked. Call again
 * for the next member; fi_gunzip_may_end() says whether an input that ends here is complete. A verdict on
 * what follows a complete member, if it does not look like another, is FI_TRAILING_DATA.
 */
enum fi_status fi_gunzip_run(struct fi_gunzip *g, struct fi_io *io);

static inline bool fi_gunzip_may_end(const struct fi_gunzip *g)
{
	return g->phase == FI_GUNZIP_BETWEEN && g->nmembers != 0;
}

#endif /* FASTIDX_GUNZIP_H */
