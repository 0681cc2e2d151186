/*
 * gunzip.c - the gzip container.
 *
 * What it does. Headers and footers are read a byte at a time by a small state machine, so they too may be
 * cut anywhere. The body goes to the DEFLATE decoder in pieces of 32 KiB of output, each of which is
 * checksummed while it is in the cache: a CRC over the finished 47 MB would read them all once more from
 * memory.
 *
 * What it refuses. Methods other than DEFLATE, reserved flags, a wrong FHCRC, CRC-32 or ISIZE, and anything but
 * zero padding or another member after a member. The fields that only describe the file (FTEXT, MTIME, XFL, OS,
 * FEXTRA, FNAME, FCOMMENT) are skipped, however long they are.
 */
#include "gunzip.h"

#include "crc32.h"

/* RFC 1952, section 2.3.1 */
#define GZIP_ID1 0x1F
#define GZIP_ID2 0x8B
#define GZIP_CM_DEFLATE 8
#define GZIP_FHCRC      0x02
#define GZIP_FEXTRA     0x04
#define GZIP_FNAME      0x08
#define GZIP_FCOMMENT   0x10
#define GZIP_RESERVED   0xE0

/* Small enough to stay in the L1 or L2 cache, large enough for the carry-less CRC to be at full speed. */
#define CRC_PIECE_NBYTES 32768

void fi_gunzip_init(struct fi_gunzip *g, enum fi_gunzip_checks checks)
{
	fi_inflate_init(&g->inflate);
	g->phase = FI_GUNZIP_BETWEEN;
	g->checks = checks;
	g->flags = 0;
	g->nbytes_read = 0;
	g->field = 0;
	g->header_crc = 0;
	g->crc = 0;
	g->footer_crc = g->footer_isize = 0;
	g->nmembers = 0;
}

/* The optional fields stand in this order; enter the next one that is there, else the body. */
static void enter_next_field(struct fi_gunzip *g, enum fi_gunzip_phase next)
{
	if (next == FI_GUNZIP_XLEN && !(g->flags & GZIP_FEXTRA))
		next = FI_GUNZIP_NAME;
	if (next == FI_GUNZIP_NAME && !(g->flags & GZIP_FNAME))
		next = FI_GUNZIP_COMMENT;
	if (next == FI_GUNZIP_COMMENT && !(g->flags & GZIP_FCOMMENT))
		next = FI_GUNZIP_HEADER_CRC;
	if (next == FI_GUNZIP_HEADER_CRC && !(g->flags & GZIP_FHCRC))
		next = FI_GUNZIP_BODY;
	if (next == FI_GUNZIP_BODY) {
		fi_inflate_next_stream(&g->inflate);
		g->crc = 0;
	}
	g->phase = next;
	g->nbytes_read = 0;
	g->field = 0;
}

/* Adds a byte to the field in progress; true when it is complete. */
static bool add_to_field(struct fi_gunzip *g, uint8_t byte, unsigned field_nbytes)
{
	g->field |= (uint64_t)byte << (8 * g->nbytes_read);
	return ++g->nbytes_read == field_nbytes;
}

static enum fi_status check_footer(struct fi_gunzip *g)
{
	g->footer_crc = (uint32_t)g->field;
	g->footer_isize = (uint32_t)(g->field >> 32);
	g->phase = FI_GUNZIP_BETWEEN;
	if (g->checks == FI_CHECKS_COMPARED && g->footer_crc != g->crc)
		return FI_BAD_CRC;
	if (g->checks == FI_CHECKS_COMPARED && g->footer_isize != (uint32_t)g->inflate.total_out)
		return FI_BAD_ISIZE;
	g->nmembers++;
	return FI_DONE;
}

/* One byte of framing. FI_DONE here means: go on. */
static enum fi_status take_framing_byte(struct fi_gunzip *g, uint8_t byte)
{
	if (g->phase != FI_GUNZIP_HEADER_CRC)
		g->header_crc = fi_crc32(g->phase == FI_GUNZIP_BETWEEN ? 0 : g->header_crc, &byte, 1);

	switch (g->phase) {
	case FI_GUNZIP_BETWEEN:
		if (byte == GZIP_ID1)
			g->phase = FI_GUNZIP_ID2;
		else if (g->nmembers == 0)
			return FI_BAD_MAGIC;
		else if (byte != 0)
			return FI_TRAILING_DATA;
		break;
	case FI_GUNZIP_ID2:
		if (byte != GZIP_ID2)
			return g->nmembers == 0 ? FI_BAD_MAGIC : FI_TRAILING_DATA;
		g->phase = FI_GUNZIP_CM;
		break;
	case FI_GUNZIP_CM:
		if (byte != GZIP_CM_DEFLATE)
			return FI_BAD_METHOD;
		g->phase = FI_GUNZIP_FLG;
		break;
	case FI_GUNZIP_FLG:
		if (byte & GZIP_RESERVED)
			return FI_BAD_FLAGS;
		g->flags = byte;
		g->nbytes_read = 0;
		g->field = 0;
		g->phase = FI_GUNZIP_MTIME_XFL_OS;
		break;
	case FI_GUNZIP_MTIME_XFL_OS:
		if (add_to_field(g, byte, 6))
			enter_next_field(g, FI_GUNZIP_XLEN);
		break;
	case FI_GUNZIP_XLEN:
		if (!add_to_field(g, byte, 2))
			break;
		if (g->field == 0)
			enter_next_field(g, FI_GUNZIP_NAME);
		else
			g->phase = FI_GUNZIP_EXTRA;
		break;
	case FI_GUNZIP_EXTRA:
		if (--g->field == 0)
			enter_next_field(g, FI_GUNZIP_NAME);
		break;
	case FI_GUNZIP_NAME:
		if (byte == 0)
			enter_next_field(g, FI_GUNZIP_COMMENT);
		break;
	case FI_GUNZIP_COMMENT:
		if (byte == 0)
			enter_next_field(g, FI_GUNZIP_HEADER_CRC);
		break;
	case FI_GUNZIP_HEADER_CRC:
		if (!add_to_field(g, byte, 2))
			break;
		if (g->field != (g->header_crc & 0xFFFF))
			return FI_BAD_HEADER_CRC;
		enter_next_field(g, FI_GUNZIP_BODY);
		break;
	case FI_GUNZIP_BODY:
	case FI_GUNZIP_FOOTER:
		break;
	}
	return FI_DONE;
}

static enum fi_status read_framing(struct fi_gunzip *g, struct fi_io *io)
{
	enum fi_status status = FI_DONE;
	uint8_t byte;

	while (status == FI_DONE && g->phase != FI_GUNZIP_BODY) {
		if (!fi_inflate_take_byte(&g->inflate, io, &byte))
			return FI_NEED_INPUT;
		status = take_framing_byte(g, byte);
	}
	return status;
}

static enum fi_status read_footer(struct fi_gunzip *g, struct fi_io *io)
{
	uint8_t byte;

	do {
		if (!fi_inflate_take_byte(&g->inflate, io, &byte))
			return FI_NEED_INPUT;
	} while (!add_to_field(g, byte, 8));
	return check_footer(g);
}

static enum fi_status read_body(struct fi_gunzip *g, struct fi_io *io)
{
	uint8_t *const out_stop = io->out_stop;
	enum fi_status status;

	do {
		uint8_t *const piece = io->out_next;

		if (out_stop - piece > CRC_PIECE_NBYTES)
			io->out_stop = piece + CRC_PIECE_NBYTES;
		status = fi_inflate_run(&g->inflate, io);
		if (g->checks != FI_CHECKS_IGNORED)
			g->crc = fi_crc32(g->crc, piece, (size_t)(io->out_next - piece));
		io->out_stop = out_stop;
	} while (status == FI_OUTPUT_FULL && io->out_next < out_stop);
	if (status == FI_DONE) {
		g->phase = FI_GUNZIP_FOOTER;
		g->nbytes_read = 0;
		g->field = 0;
	}
	return status;
}

enum fi_status fi_gunzip_run(struct fi_gunzip *g, struct fi_io *io)
{
	enum fi_status status;

	if (g->phase < FI_GUNZIP_BODY) {
		status = read_framing(g, io);
		if (status != FI_DONE)
			return status;
	}
	if (g->phase == FI_GUNZIP_BODY) {
		status = read_body(g, io);
		if (status != FI_DONE)
			return status;
	}
	return read_footer(g, io);
}
