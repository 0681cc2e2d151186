/*
 * convert.h - element kernels: from the decoded bytes of an IDX file to the items of an array.
 */
#ifndef FASTIDX_CONVERT_H
#define FASTIDX_CONVERT_H

#include "common.h"

/*
 * Writes nitems big-endian items of 1, 2, 4 or 8 bytes at src to dst in the machine's byte order.
 * The two do not overlap; neither need be aligned.
 */
void fi_swap(uint8_t *dst, const uint8_t *src, size_t nitems, unsigned item_nbytes);

/*
 * Writes for each byte at src the table's entry of that number to dst. The table holds 256 entries
 * of 1, 2, 4 or 8 bytes. dst overlaps neither src nor the table; none of them need be aligned.
 */
void fi_expand(uint8_t *dst, const uint8_t *src, size_t nitems,
	       const void *table, unsigned entry_nbytes);

/* The index of the first byte whose number is marked (not 0); nbytes if there is none. */
size_t fi_find_marked(const uint8_t *src, size_t nbytes, const uint8_t marked[256]);

/* The names of the implementations that fi_cpu() makes fi_swap() and fi_expand() take. */
const char *fi_swap_variant(void);
const char *fi_expand_variant(void);

#endif /* FASTIDX_CONVERT_H */
