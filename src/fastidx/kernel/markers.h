/*
 * markers.h - the 16-bit symbols of a decode that began without its history.
 *
 * A symbol below 256 is a byte. Symbol 0x8000 + i stands for byte i, the oldest being 0, of the
 * 32 KiB that precede the first symbol: a marker. Symbols between do not occur.
 */
#ifndef FASTIDX_MARKERS_H
#define FASTIDX_MARKERS_H

#include "common.h"
#include "deflate_constants.h"

/* The byte of each symbol. At an address that is a multiple of 64 it is read fastest. */
struct fi_marker_table {
	uint8_t byte_of[0x8000 + DEFLATE_WINDOW_NBYTES];
};

/* The unknown history itself: the i-th symbol is 0x8000 + i. */
void fi_markers_fill_window(uint16_t window[DEFLATE_WINDOW_NBYTES]);

/* Makes the table, once the history is known. */
void fi_markers_set_window(struct fi_marker_table *table,
			   const uint8_t window[DEFLATE_WINDOW_NBYTES]);

/* The bytes of n symbols, of which dst overlaps none. */
void fi_markers_resolve(const struct fi_marker_table *table, uint8_t *dst, const uint16_t *symbols,
			size_t n);

/*
 * The lowest i for which 0x8000 + i is among n symbols, 32768 if there is none. The history may
 * have fewer than 32768 bytes; what stands before them must not be named.
 */
uint32_t fi_markers_lowest(const uint16_t *symbols, size_t n);

/* The name of the implementation that fi_cpu() makes fi_markers_resolve() take. */
const char *fi_markers_variant(void);

#endif /* FASTIDX_MARKERS_H */
