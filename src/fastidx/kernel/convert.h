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

/* The name of the implementation that fi_cpu() makes fi_swap() take. */
const char *fi_swap_variant(void);

#endif /* FASTIDX_CONVERT_H */
